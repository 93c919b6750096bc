"""A layout that lies in a folder, and one that is unpacked into one."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.host.untrusted import UnreadableFile, opened, read_bytes
from orchestrator.images.layout.archive import LARGEST_JSON, broken, refused
from orchestrator.images.layout.read import BLOBS, INDEX, MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.images.layout.archive import Archive

MOST_BYTES = 64 * 2**30
"""The most that an archive may unpack to: more is a bomb, not an image."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder whose files are read as input: no links followed, limited."""

    path: Path

    def find(self, name: str) -> int | None:
        """Bytes of a file; None where there is no regular file."""
        try:
            with opened(self.path, name) as stream:
                return stream.seek(0, 2)
        except UnreadableFile:
            return None

    def read(self, name: str, limit: int = LARGEST_JSON) -> bytes:
        """A small file. Raises `StepFailed` (`bad-archive`)."""
        try:
            return read_bytes(self.path, name, limit)
        except UnreadableFile as error:
            raise broken(self.path, f"its {name} {error.reason}") from None


@contextmanager
def unpacked_layout(archive: Archive, parent: Path) -> Iterator[Path]:
    """The layout in an archive as a folder below ``parent``, every blob hashed on the way; it goes again afterwards.

    Raises:
        StepFailed: `hostile-archive`, it would take too much; `bad-archive`, a blob is not what its name says.
        OSError: the disk is full.
    """
    names = [name for name in archive.members if name in {INDEX, MARK} or name.startswith(BLOBS)]
    if sum(archive.size(name) for name in names) > MOST_BYTES:
        raise refused(archive.path, f"it would unpack to more than {MOST_BYTES >> 30} GiB")
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=parent, ignore_cleanup_errors=True) as text:
        folder = Path(text) / "layout"
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as out:
                found = archive.copy(name, out)
            if name.startswith(BLOBS) and name != BLOBS + found:
                raise broken(archive.path, f"`{name}` is not what its name says")
        yield folder
