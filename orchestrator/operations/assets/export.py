"""`assets export`: the files of an asset in a folder of the user's, with a manifest that `sha256sum -c` reads."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (a field's type)
from typing import TYPE_CHECKING

from orchestrator.assets.trees import find_tree
from orchestrator.definitions.asset_locks import full_name
from orchestrator.errors import AssetError, UsageError
from orchestrator.host.files import atomic_write_text, write_failure
from orchestrator.operations.assets.facts import named_one, this_store

if TYPE_CHECKING:
    from orchestrator.operations.context import Context

MANIFEST = "MANIFEST.sha256"
LICENCES = "licences"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The JSON of `assets export`."""

    kind: str
    name: str
    key: str
    folder: Path
    manifest: Path
    files: int
    bytes: int
    linked: int
    """how many files share their bytes with the cache; they are read-only, and must stay as they are"""


def export_asset(context: Context, name: str, folder: Path, *, copy: bool = False) -> Exported:
    """Lay the files of an asset that is here into ``folder``, which is empty or not there yet.

    They are hard links into the cache where both are on one file system, unless ``copy`` asks for files of its own.

    Raises:
        UsageError: `unknown-asset`; `exists`, the folder has something in it.
        AssetError: `not-here`. StepFailed: `write`.
    """
    catalog, store = context.catalog, this_store()
    entry = named_one(catalog, name)
    stored = store.find(entry, catalog)
    tree = find_tree(stored.path) if stored is not None else None
    if stored is None or tree is None:
        full = full_name(entry.definition)
        raise AssetError(f"{full} is not here", hint=f"`mlorch assets get {full}` fetches it", slug="not-here")
    target = folder.absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is not empty", hint="name a folder that is empty or not there", slug="exists")
    linked = 0
    try:
        for file in sorted(tree.files):
            place = target / file
            place.parent.mkdir(parents=True, exist_ok=True)
            linked += _laid(tree.folder / file, place, copy=copy)
        if stored.licences.is_dir():
            shutil.copytree(stored.licences, target / LICENCES, dirs_exist_ok=True)
    except OSError as error:
        raise write_failure(target, error) from error
    lines = "".join(_line(sha256, file) for file, sha256 in sorted(tree.hashes.items()))
    atomic_write_text(target / MANIFEST, lines)
    return Exported(
        kind=stored.kind,
        name=stored.name,
        key=stored.key,
        folder=target,
        manifest=target / MANIFEST,
        files=len(tree.files),
        bytes=tree.size,
        linked=linked,
    )


def _laid(source: Path, place: Path, *, copy: bool) -> bool:
    """Whether a file could be linked instead of copied."""
    if not copy:
        with contextlib.suppress(OSError):
            place.hardlink_to(source)
            return True
    shutil.copyfile(source, place)
    return False


def _line(sha256: str, name: str) -> str:
    """A line of a manifest; names that need it are written as ``sha256sum`` writes them."""
    if "\\" in name:
        return f"\\{sha256}  " + name.replace("\\", "\\\\") + "\n"
    return f"{sha256}  {name}\n"
