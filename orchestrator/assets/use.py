"""Which trees of assets are in use: a lock of the kernel's on each, which ends with the process that has it.

A run holds its model and data set to its end; `mlorch assets prune` removes nothing that anybody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import NoLocksError
from orchestrator.host.file_lock import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path


@dataclass(slots=True)
class _Hold:
    """An open lock file of this process, and how many in it want it held."""

    descriptor: int
    count: int = 1


_HELD: dict[str, _Hold] = {}
_CHANGING = threading.Lock()


def hold(tree: Path) -> None:
    """Keep a tree of the store from being pruned until `release` or the end of this process."""
    path = _mark(tree)
    with _CHANGING:
        held = _HELD.get(str(path))
        if held is not None:
            held.count += 1
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with contextlib.suppress(NoLocksError):  # then nobody can prune it either: see `free`
                if not try_lock(descriptor, path, fcntl.LOCK_SH):
                    fcntl.flock(descriptor, fcntl.LOCK_SH)
        except BaseException:
            os.close(descriptor)
            raise
        os.utime(descriptor)  # when it was last used
        _HELD[str(path)] = _Hold(descriptor)


def release(tree: Path) -> None:
    """One in this process needs the tree no more."""
    path = str(_mark(tree))
    with _CHANGING:
        held = _HELD.get(path)
        if held is None:
            return
        held.count -= 1
        if not held.count:
            os.close(_HELD.pop(path).descriptor)


@contextmanager
def held(trees: Sequence[Path]) -> Iterator[None]:
    """Nobody prunes these trees while the block lasts."""
    for tree in trees:
        hold(tree)
    try:
        yield
    finally:
        for tree in trees:
            release(tree)


def unused(tree: Path) -> AbstractContextManager[bool]:
    """Whether nobody holds the tree; nobody can begin to while the block lasts."""
    return free(_mark(tree))


@contextmanager
def free(path: Path) -> Iterator[bool]:
    """Whether nobody has the lock file ``path``; it is ours while the block lasts. The file stays.

    Raises `NoLocksError` where nobody can say.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield try_lock(descriptor, path)
    finally:
        os.close(descriptor)


def _mark(tree: Path) -> Path:
    return tree.with_name(f"{tree.name}.used")
