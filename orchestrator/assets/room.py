"""How many bytes assets are, what of them must still come, and whether the disk has room: told before the start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.sources import DebianPackage, HttpFile, HubFiles, MlcommonsFiles, PypiPackage
from orchestrator.errors import AssetError
from orchestrator.host.paths import exists

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orchestrator.definitions.kinds.assets import Asset
    from orchestrator.definitions.kinds.sources import AssetSource

MARGIN = 64 << 20
"""Bytes that stay free whatever comes."""
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Bytes of an asset: ``needed`` to fetch and make it (0: nobody says), ``missing`` of them not here yet."""

    needed: int
    missing: int


def in_bytes(size: str) -> int:
    """The bytes of a `Size`: ``100g``."""
    digits = size.rstrip("kmgt")
    return int(digits) * _UNITS[size[len(digits) :]]


def room_for(asset: Asset, has: Callable[[str], bool]) -> Room:
    """What an asset that is not here yet takes; ``has`` says whether a file with a hash is here."""
    files = [file for source in asset.sources for file in _files(source)]
    outputs = sum(output.size for output in asset.outputs) if asset.prepare is not None else 0
    needed = sum(size for _, size in files) + outputs
    missing = sum(size for sha256, size in files if not has(sha256)) + outputs
    stated = in_bytes(asset.needs.disk) if asset.needs.disk else 0
    if stated > needed:
        return Room(needed=stated, missing=max(missing, stated - (needed - missing)))
    return Room(needed=needed, missing=missing)


def _files(source: AssetSource) -> list[tuple[str, int]]:
    """Hash and size of each file of a source that says them."""
    match source:
        case PypiPackage() | DebianPackage() | HttpFile():
            return [(source.sha256, source.size)]
        case HubFiles() | MlcommonsFiles():
            return [(file.sha256, file.size) for file in source.files]
        case _:
            return []


def free_bytes(folder: Path) -> int:
    """What may still be written below ``folder``, or below its nearest parent that is there."""
    facts = os.statvfs(_there(folder))
    return facts.f_bavail * facts.f_frsize


def _there(folder: Path) -> Path:
    while not exists(folder) and folder.parent != folder:
        folder = folder.parent
    return folder


def require_room(folder: Path, needs: Sequence[tuple[str, int]]) -> None:
    """Whether what is named with its bytes fits below ``folder``.

    Raises:
        AssetError: `disk-full`, with the bytes of each and those that are free; `read-only`, where nothing can be
            written.
    """
    needed, free = sum(size for _, size in needs), free_bytes(folder)
    if needed and not _can_be_written(_there(folder)):
        raise AssetError(
            f"{folder} cannot be written to, and models and data are kept there",
            hint="set MLORCH_HOME or XDG_CACHE_HOME to a folder of yours",
            slug="read-only",
        )
    if not needed or needed + MARGIN <= free:
        return
    what = ", ".join(f"{name} {in_words(size)}" for name, size in needs if size)
    raise AssetError(
        f"{in_words(free)} are free below {folder}, and {in_words(needed)} are still to come: {what}",
        hint="nothing was fetched; free some space (`mlorch assets prune`), set MLORCH_HOME or XDG_CACHE_HOME to a "
        "larger disk, or name the folder of one who has the data with --data NAME=FOLDER",
        slug="disk-full",
    )


def _can_be_written(folder: Path) -> bool:
    """Root may write wherever it likes, but not to a file system that is read-only or the kernel's own."""
    facts = os.statvfs(folder)
    return os.access(folder, os.W_OK | os.X_OK) and not facts.f_flag & os.ST_RDONLY and facts.f_blocks > 0


def in_words(size: int) -> str:
    """Bytes for people."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 1e3:.1f} kB"
