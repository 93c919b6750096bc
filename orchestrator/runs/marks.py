"""Marks of folders that are lent to runs: a file each, locked for as long as its run lives."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LENT = ".lent"


def marks(root: Path) -> list[Path]:
    """The marks below the folder of all artefacts, of live runs too."""
    try:
        return sorted((root / LENT).iterdir())
    except OSError:
        return []


@contextmanager
def locked(mark: Path) -> Iterator[bool]:
    """Whether nobody else has this mark; it is ours while the block lasts, and gone after it."""
    with mark.open("a") as stream:
        if not _lock(stream.fileno(), mark):
            yield False
            return
        try:
            yield True
        finally:
            mark.unlink(missing_ok=True)


def _lock(descriptor: int, mark: Path) -> bool:
    """Lock the open file; False where another run has it, or has just removed it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(descriptor).st_ino == mark.stat().st_ino
    except OSError:
        return False
