"""Where fetched and prepared bytes live, and how several processes share them.

Everything below the cache is named by its content. A file appears there by an atomic
rename after its hash was checked, so that what exists is right; a lock file keeps two
processes from doing the same work twice.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.host.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Iterator


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
