"""A folder beside a recipe that an asset is made of: found without leaving the recipe tree, hashed where it lies.

Every file is hashed once; what was found is remembered by name, size, times and inode, so that later uses only look.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from orchestrator.assets.trees import facts_of, is_same, manifest_sha256, read_marker, walk, write_marker
from orchestrator.definitions.asset_locks import full_name
from orchestrator.definitions.catalog.roots import inside
from orchestrator.errors import AssetError
from orchestrator.host.folders import cache_home
from orchestrator.host.untrusted import UnreadableFile, hash_file

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.assets import Asset
    from orchestrator.definitions.kinds.sources import FolderFiles


def folder_beside(entry: Entry[Asset], source: FolderFiles) -> Path:
    """Where the folder lies; raises `AssetError` [data-missing]."""
    path = entry.path.parent / source.path
    try:
        real = inside(path, entry.root)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        real = None
    if real is None or not real.is_dir():
        raise AssetError(
            f"{full_name(entry.definition)}: there is no folder {path} inside of {entry.root}",
            hint="put it back, or name another one in the recipe",
            slug="data-missing",
        )
    return real


def folder_sha256(entry: Entry[Asset], source: FolderFiles, catalog: Catalog) -> str:
    """The hash of the folder's manifest; files are looked at once for a catalogue, and read where they changed.

    Raises:
        AssetError: `data-missing`, it is not there, cannot be read, or holds a link.
    """
    folder = folder_beside(entry, source)
    known = catalog.folders.get(folder)
    if known is None:
        known = catalog.folders[folder] = hash_folder(folder, full_name(entry.definition))
    return known


def hash_folder(folder: Path, name: str) -> str:
    """The hash of the manifest of ``folder`` as it is now; raises as `folder_sha256`."""
    found = walk(folder)
    if not found:
        raise AssetError(
            f"{name}: {folder} is empty, cannot be read, or holds a link or what is neither a file nor a folder",
            hint="give a folder of plain files; copy what a link leads to in its place",
            slug="data-missing",
        )
    memory = cache_home() / "sample-folders" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:24]}.json"
    noted = read_marker(memory) or {}
    known = {file: noted[file].sha256 for file, facts in found.items() if file in noted and is_same(facts, noted[file])}
    if len(known) == len(found) == len(noted):
        return manifest_sha256(known)
    try:
        hashes = {file: known.get(file) or hash_file(folder, file)[0] for file in found}
    except UnreadableFile as error:
        raise AssetError(f"{name}: {error}", hint="give a folder of plain files", slug="data-missing") from None
    memory.parent.mkdir(parents=True, exist_ok=True)
    write_marker(memory, {file: facts_of(facts, hashes[file]) for file, facts in found.items()})
    return manifest_sha256(hashes)
