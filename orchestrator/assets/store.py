"""Models and datasets as they are mounted into containers, kept by content and shared between runs.

``assets/<kind>/<name>/<key>/`` is a tree of `assets.trees`. The key is a hash of everything that determines the
bytes; never a time.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.assets.trees import alone, find_tree, is_kept, making, manifest_sha256, set_aside, wrong_files
from orchestrator.errors import AssetError
from orchestrator.host.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.recipes import Asset, Output

SCHEME = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An asset that is there, its bytes as the recipe says."""

    kind: str
    name: str
    key: str
    path: Path
    size: int
    """bytes of all its files"""

    @property
    def folder(self) -> Path:
        """What is mounted."""
        return self.path / "files"

    @property
    def licences(self) -> Path:
        """Terms of every source, one file each."""
        return self.path / "licences"


def kind_of(asset: Asset) -> str:
    """``model`` or ``dataset``."""
    return type(asset).__name__.lower()


def key_of(entry: Entry[Asset], catalog: Catalog) -> str:
    """The identity of an asset's bytes: its sources, its prepare script, its outputs."""
    asset = entry.definition
    form = asset.model_dump(mode="json", include={"sources", "outputs", "prepare"})
    for source in form["sources"]:
        source.pop("licence")
    form["outputs"] = [output.model_dump(mode="json", exclude_none=True) for output in asset.outputs]
    script = sha256_file(catalog.file(entry, asset.prepare.script)) if asset.prepare else ""
    text = json.dumps({"scheme": SCHEME, "asset": form, "script": script}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class Store:
    """The assets below ``root``; several processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder_of(self, asset: Asset, key: str) -> Path:
        """Where an asset lies once it is there."""
        return self.root / "assets" / kind_of(asset) / asset.name / key

    def find(self, entry: Entry[Asset], catalog: Catalog) -> Stored | None:
        """The asset if it is there and unchanged since it was checked (`trees.find_tree`)."""
        asset, key = entry.definition, key_of(entry, catalog)
        tree = find_tree(self.folder_of(asset, key))
        if tree is None:
            return None
        return Stored(kind=kind_of(asset), name=asset.name, key=key, path=tree.path, size=tree.size)

    def verify(self, entry: Entry[Asset], catalog: Catalog) -> tuple[Stored | None, tuple[str, ...]]:
        """Hash every file: the asset (None when it is not there) and the names of files that are wrong."""
        asset, key = entry.definition, key_of(entry, catalog)
        path = self.folder_of(asset, key)
        if not is_kept(path):
            return None, ()
        size = sum(file.stat().st_size for file in (path / "files").rglob("*") if file.is_file())
        return Stored(kind=kind_of(asset), name=asset.name, key=key, path=path, size=size), wrong_files(path)

    @contextmanager
    def alone(self, asset: Asset, key: str) -> Iterator[None]:
        """While this is held, no other process makes this asset."""
        with alone(self.folder_of(asset, key)):
            yield

    @contextmanager
    def making(self, asset: Asset, key: str) -> Iterator[Path]:
        """A folder to fill, under `alone`; in place, whole, when the block ends well (`trees.making`)."""
        path = self.folder_of(asset, key)
        folder = path.with_name(f".{key}.new")

        def check(hashes: Mapping[str, str]) -> None:
            for output in asset.outputs:
                self._check(asset, output, hashes, folder / "out")

        def wanted(name: str) -> bool:
            return any(name == out.path or (out.folder and name.startswith(f"{out.path}/")) for out in asset.outputs)

        with making(path, self.root / "quarantine", wanted, check) as made:
            yield made

    def set_aside(self, path: Path, names: tuple[str, ...]) -> Path:
        """Move a folder with wrong files out of the way, for a look at it."""
        return set_aside(path, self.root / "quarantine", names)

    def _check(self, asset: Asset, output: Output, hashes: Mapping[str, str], out: Path) -> None:
        """Raises `AssetError`: `output-missing`, `hash-mismatch` (the file is kept in quarantine)."""
        if not output.folder:
            if output.path not in hashes:
                raise AssetError(f"{asset.name}: `{output.path}` was not made", slug="output-missing")
            if hashes[output.path] != output.sha256:
                raise self._mismatch(asset, out / output.path, hashes[output.path], output.sha256)
            return
        prefix = f"{output.path}/"
        inside = {name.removeprefix(prefix): found for name, found in hashes.items() if name.startswith(prefix)}
        if len(inside) != output.files:
            raise AssetError(
                f"{asset.name}: the folder `{output.path}` has {len(inside):,} files where the recipe says "
                f"{output.files:,}",
                slug="output-missing",
            )
        if manifest_sha256(inside) != output.sha256:
            raise AssetError(
                f"{asset.name}: the files of `{output.path}` have the manifest {manifest_sha256(inside)}, "
                f"expected {output.sha256}",
                hint="the prepared files are not those that the recipe pins; nothing was cached",
                slug="hash-mismatch",
            )

    def _mismatch(self, asset: Asset, made: Path, found: str, expected: str) -> AssetError:
        aside = self.root / "quarantine" / f"{found[:16]}-{made.name}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        made.replace(aside)
        return AssetError(
            f"{asset.name}: {made.name} has sha256 {found}, expected {expected}; it is kept at {aside}",
            hint="the prepared bytes are not those that the recipe pins; nothing was cached",
            slug="hash-mismatch",
        )
