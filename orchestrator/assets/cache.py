"""Where fetched and prepared bytes live, and how several processes share them.

Everything below the cache is named by its content. A file appears there by an atomic
rename after its hash was checked, so that what exists is right; a lock file keeps two
processes from doing the same work twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 1 << 20


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; another process (or thread) that wants it waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place, on disk, when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def quarantine(root: Path, bad: Path, name: str) -> Path:
    """Move a file whose hash is wrong aside, under the hash that it has; give its new place."""
    folder = root / "quarantine"
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{sha256_file(bad)[:16]}-{name}"
    bad.replace(place)
    return place
