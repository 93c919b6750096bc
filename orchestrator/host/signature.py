"""A cheap signature of every file that could change a plan: path, times and size of each.

Standard library only and as little of it as possible: it runs before a kept plan is
used, over thousands of files (see `benchmarks/`).
"""

from __future__ import annotations

import hashlib
import marshal
import os
from stat import S_ISDIR
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SKIPPED = frozenset({".git", "__pycache__", ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
_PARTS = ("recipes", "dockerfiles", "images")
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 (pathlib would double the cost)


def signature(roots: Sequence[str | os.PathLike[str]]) -> str:
    """A digest that changes when a file below a root is added, removed, renamed or written.

    Of a root with `recipes/`, the folders of definitions count; of any other, the
    whole tree. mlorch's own code always counts. The change time of the inode is
    part of it, so that a file rewritten with the size and time it had is noticed.
    """
    facts: list[object] = []
    waiting = [_PACKAGE]
    for given in roots:
        root = os.fspath(given)
        parts = [f"{root}/{part}" for part in _PARTS]
        waiting += parts if os.path.isdir(parts[0]) else [root]  # noqa: PTH112 (as above)
    while waiting:
        _list(waiting.pop(), facts, waiting)
    # marshal is the fastest way to bytes; version 2 knows no references, so equal facts are equal bytes.
    return hashlib.blake2b(marshal.dumps(facts, 2), digest_size=20).hexdigest()


def _list(folder: str, facts: list[object], waiting: list[str]) -> None:
    """Add the facts of one folder's files, its folders to `waiting`; a folder that is not there has none."""
    found: list[tuple[str, int, int, int, int]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name in _SKIPPED:
                    continue
                stat = entry.stat(follow_symlinks=False)
                if S_ISDIR(stat.st_mode):
                    waiting.append(entry.path)
                else:
                    found.append((name, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_mode))
    except OSError:
        return
    found.sort()
    facts += (folder, found)
