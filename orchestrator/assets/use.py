"""Which trees of assets are in use: a lock of the kernel's on each, which ends with the process that has it.

A run holds its model and data set to its end; `mlorch assets prune` removes nothing that anybody holds.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

_HELD: dict[str, int] = {}
"""Open lock files of this process by their path."""


def hold(tree: Path) -> None:
    """Keep a tree of the store from being pruned until this process ends (or `release`); also one that comes later."""
    path = _mark(tree)
    if str(path) in _HELD:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.utime(descriptor)  # when it was last used
    _HELD[str(path)] = descriptor


def release(tree: Path) -> None:
    """This process needs the tree no more."""
    descriptor = _HELD.pop(str(_mark(tree)), None)
    if descriptor is not None:
        os.close(descriptor)


def unused(tree: Path) -> AbstractContextManager[bool]:
    """Whether nobody holds the tree; nobody can begin to while the block lasts."""
    return free(_mark(tree))


@contextmanager
def free(path: Path) -> Iterator[bool]:
    """Whether nobody has the lock file ``path``; it is ours while the block lasts. The file stays."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = True
        except BlockingIOError:
            ours = False
        yield ours
    finally:
        os.close(descriptor)


def _mark(tree: Path) -> Path:
    return tree.with_name(f"{tree.name}.used")
