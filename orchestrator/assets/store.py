"""Models and datasets as they are mounted into containers, kept by content and shared between runs.

``assets/<kind>/<name>/<key>/`` is a tree of `assets.trees`; ``key.json`` in it says what the key was made of. The key
is a hash of everything that determines the bytes; never a time.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.assets.beside import folder_sha256
from orchestrator.assets.trees import (
    LARGEST_MARKER,
    MARKER,
    alone,
    find_tree,
    is_kept,
    making,
    manifest_sha256,
    set_aside,
    wrong_files,
)
from orchestrator.definitions.asset_locks import full_name, kind_of, source_label
from orchestrator.definitions.kinds.sources import GitFiles, HubFiles, MlcommonsFiles
from orchestrator.errors import AssetError
from orchestrator.facts.references import SHA256
from orchestrator.host.files import atomic_write_text, sha256_file
from orchestrator.host.untrusted import UnreadableFile, read_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.assets import Asset, Output
    from orchestrator.definitions.kinds.sources import AssetSource

SCHEME = "2"
KEY_FILE = "key.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An asset that is there, its bytes as the recipe says."""

    kind: str
    name: str
    key: str
    path: Path
    size: int
    """bytes of all its files"""
    given: Path | None = field(default=None)
    """The folder of a user who has the data, where it is not the store's."""

    @property
    def folder(self) -> Path:
        """What is mounted."""
        return self.given or self.path / "files"

    @property
    def licences(self) -> Path:
        """Terms of every source, one file each."""
        return self.path / "licences"


def key_parts(entry: Entry[Asset], catalog: Catalog) -> dict[str, str]:
    """Everything that determines an asset's bytes, each by a name for people: sources, steps, inputs, outputs."""
    asset = entry.definition
    parts = {"scheme": SCHEME}
    parts |= {f"source {source_label(source)}": _source_hash(source) for source in asset.sources}
    if asset.beside is not None:
        parts[f"source {source_label(asset.beside)}"] = folder_sha256(entry, asset.beside, catalog)
    parts |= {f"output {output.path}": _output_hash(output) for output in asset.outputs}
    prepare = asset.prepare
    if prepare is None:
        return parts
    parts |= {f"script {name}": sha256_file(catalog.file(entry, name)) for name in prepare.files}
    parts["command"] = json.dumps(prepare.command or prepare.args)
    parts["layer"] = prepare.layer
    parts |= {f"input {name}": key_of(input_entry(catalog, name), catalog) for name in prepare.inputs}
    return parts


def input_entry(catalog: Catalog, name: str) -> Entry[Asset]:
    """The definition that ``kind/NAME`` means."""
    kind, _, rest = name.partition("/")
    return catalog.model(rest) if kind == "model" else catalog.dataset(rest)


def key_of(entry: Entry[Asset], catalog: Catalog) -> str:
    """The identity of an asset's bytes."""
    return key_of_parts(key_parts(entry, catalog))


def key_of_parts(parts: Mapping[str, str]) -> str:
    """The key of what `key_parts` gives."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()[:24]


def _source_hash(source: AssetSource) -> str:
    match source:
        case HubFiles() | MlcommonsFiles():
            return manifest_sha256({file.path: file.sha256 for file in source.files})
        case GitFiles():
            return " ".join((source.commit, *source.paths))
        case _:
            return getattr(source, "sha256", "")


def _output_hash(output: Output) -> str:
    return output.sha256 if output.files is None else f"{output.sha256} {output.files} files"


class Store:
    """The assets below ``root``; several processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def assets(self) -> Path:
        """Where all of them lie."""
        return self.root / "assets"

    def folder_of(self, asset: Asset, key: str) -> Path:
        """Where an asset lies once it is there."""
        return self.assets / kind_of(asset) / asset.name / key

    def find(self, entry: Entry[Asset], catalog: Catalog) -> Stored | None:
        """The asset if it is there and unchanged since it was checked (`trees.find_tree`)."""
        asset, key = entry.definition, key_of(entry, catalog)
        tree = find_tree(self.folder_of(asset, key))
        if tree is None:
            return None
        return Stored(kind=kind_of(asset), name=asset.name, key=key, path=tree.path, size=tree.size)

    def was_made(self, entry: Entry[Asset], catalog: Catalog) -> bool:
        """Whether the asset was made here; a quick look that says nothing of its files."""
        return (self.folder_of(entry.definition, key_of(entry, catalog)) / MARKER).is_file()

    def verify(self, entry: Entry[Asset], catalog: Catalog) -> tuple[Stored | None, tuple[str, ...]]:
        """Hash every file: the asset (None when it is not there) and the names of files that are wrong."""
        asset, key = entry.definition, key_of(entry, catalog)
        path = self.folder_of(asset, key)
        if not is_kept(path):
            return None, ()
        size = sum(file.stat().st_size for file in (path / "files").rglob("*") if file.is_file())
        return Stored(kind=kind_of(asset), name=asset.name, key=key, path=path, size=size), wrong_files(path)

    def kept(self, asset: Asset) -> dict[str, dict[str, str]]:
        """What the keys of an asset's trees were made of, by key, newest first; empty where a tree does not say."""
        folder = self.assets / kind_of(asset) / asset.name
        paths = [path for path in folder.glob("[0-9a-f]*") if path.is_dir()] if folder.is_dir() else []
        paths.sort(key=lambda path: -path.stat().st_mtime_ns)
        return {path.name: read_parts(path) for path in paths}

    @contextmanager
    def alone(self, asset: Asset, key: str) -> Iterator[None]:
        """While this is held, no other process makes this asset."""
        with alone(self.folder_of(asset, key)):
            yield

    @contextmanager
    def making(
        self, asset: Asset, key: str, *, note: Callable[[Path], None] | None = None, found: dict[str, str] | None = None
    ) -> Iterator[Path]:
        """A folder to fill, under `alone`; in place, whole, when the block ends well (`trees.making`).

        ``note`` gets the folder to keep in it what it was made of (`write_parts`). ``found`` takes the hash of
        each file; an output without a hash is then taken as it is.
        """
        path = self.folder_of(asset, key)
        places: list[Path] = []

        def check(hashes: Mapping[str, str]) -> None:
            for output in asset.outputs:
                self._check(asset, output, hashes, places[0] / "out", trusting=found is not None)
            if found is not None:
                found.update(hashes)

        def wanted(name: str) -> bool:
            return any(output.has(name) for output in asset.outputs)

        with making(path, self.root / "quarantine", wanted, check) as made:
            places.append(made)
            yield made
            if note is not None:
                note(made)

    def set_aside(self, path: Path, names: tuple[str, ...]) -> Path:
        """Move a folder with wrong files out of the way, for a look at it."""
        return set_aside(path, self.root / "quarantine", names)

    def _check(self, asset: Asset, output: Output, hashes: Mapping[str, str], out: Path, *, trusting: bool) -> None:
        """Raises `AssetError`: `output-missing`, `hash-mismatch` (the file is kept in quarantine)."""
        mine = {output.inside(name): found for name, found in hashes.items() if output.has(name)}
        if not mine:
            raise AssetError(f"{asset.name}: `{output.path}` was not made", slug="output-missing")
        if not output.sha256 and (trusting or asset.beside is not None):
            return
        if output.file is not None:
            if hashes[output.file] != output.sha256:
                raise self._mismatch(asset, out / output.file, hashes[output.file], output.sha256)
            return
        if len(mine) != output.files:
            raise AssetError(
                f"{asset.name}: the folder `{output.path}` has {len(mine):,} files where the recipe says "
                f"{output.files or 0:,}",
                slug="output-missing",
            )
        if manifest_sha256(mine) != output.sha256:
            raise AssetError(
                f"{asset.name}: the files of `{output.path}` have the manifest {manifest_sha256(mine)}, "
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


def downloads_of(asset: Asset) -> list[str]:
    """The sha256 of every file that an asset is fetched as."""
    found: list[str] = []
    for source in asset.sources:
        files = source.files if isinstance(source, HubFiles | MlcommonsFiles) else (source,)
        found += [sha256 for file in files if (sha256 := getattr(file, "sha256", ""))]
    return found


def recipes_label(origin: str, root: Path) -> str:
    """Whose recipes a folder of definitions holds: the folder, or the repository, whatever its commit."""
    return origin.rpartition("@")[0] if origin.startswith("git:") else str(root)


def write_parts(path: Path, entry: Entry[Asset], parts: Mapping[str, str]) -> None:
    """Keep beside a tree what its key was made of, what was fetched for it, and whose recipe it is."""
    document = {
        "inputs": dict(parts),
        "downloads": downloads_of(entry.definition),
        "recipes": recipes_label(entry.origin, entry.root),
    }
    atomic_write_text(path / KEY_FILE, json.dumps(document, indent=1) + "\n", overwrite=True)


def read_parts(path: Path) -> dict[str, str]:
    """What the key of a tree was made of; empty where the tree does not say."""
    inputs = _key_document(path).get("inputs")
    return {name: str(value) for name, value in inputs.items()} if isinstance(inputs, dict) else {}


def read_recipes(path: Path) -> str:
    """Whose recipe a tree was made of (`recipes_label`); empty where it does not say."""
    return str(_key_document(path).get("recipes", ""))


def read_downloads(path: Path) -> list[str]:
    """The sha256 of what was fetched for a tree; empty where it does not say."""
    found = _key_document(path).get("downloads")
    return [each for each in found if SHA256.fullmatch(str(each))] if isinstance(found, list) else []


def _key_document(path: Path) -> dict[str, object]:
    try:
        return read_object(path, KEY_FILE, LARGEST_MARKER)
    except UnreadableFile:
        return {}


__all__ = ["Store", "Stored", "full_name", "key_of", "key_parts", "kind_of"]
