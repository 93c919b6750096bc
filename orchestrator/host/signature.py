"""A cheap signature of every file that could change a plan: path, times and size of each.

Standard library only and as little of it as possible: it runs before a kept plan is
used, over thousands of files (see `benchmarks/`).
"""

from __future__ import annotations

import hashlib
import marshal
import os
from stat import S_ISDIR, S_ISLNK
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SKIPPED = frozenset({".git", "__pycache__", ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
_MOST = 2000
"""Folders behind links that are looked through."""
_PARTS = ("recipes", "dockerfiles", "images")
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 (pathlib would double the cost)


def signature(roots: Sequence[str | os.PathLike[str]]) -> str:
    """A digest that changes when a file below a root is added, removed, renamed or written.

    Of a root with `recipes/`, the folders of definitions count; of any other, the
    whole tree. mlorch's own code always counts. The change time of the inode is
    part of it, so that a file rewritten with the size and time it had is noticed.
    A link counts as itself and as what it leads to, be that a file or a folder outside.
    """
    facts: list[object] = []
    waiting = [_PACKAGE]
    for given in roots:
        root = os.fspath(given)
        parts = [f"{root}/{part}" for part in _PARTS]
        waiting += parts if os.path.isdir(parts[0]) else [root]  # noqa: PTH112 (as above)
    links: list[str] = []
    while waiting:
        _list(waiting.pop(), facts, waiting, links)
    _follow(links, facts)
    # marshal is the fastest way to bytes; version 2 knows no references, so equal facts are equal bytes.
    return hashlib.blake2b(marshal.dumps(facts, 2), digest_size=20).hexdigest()


def _list(folder: str, facts: list[object], waiting: list[str], links: list[str]) -> None:
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
                    continue
                found.append((name, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_mode))
                if S_ISLNK(stat.st_mode):
                    links.append(entry.path)
    except OSError:
        return
    found.sort()
    facts += (folder, found)


def _follow(links: list[str], facts: list[object]) -> None:
    """Add where links lead and what is there, each folder once, and of their links again.

    Where they lead to more than `_MOST` folders (to `/`, say) the signature is never twice the
    same: what was made of such a tree is not worth an endless search.
    """
    seen: set[str] = set()
    while links:
        link = links.pop()
        # What is read is the end of the chain; a link on the way that leads elsewhere moves that end.
        real = os.path.realpath(link)
        try:
            stat = os.stat(real)  # noqa: PTH116 (as above)
        except OSError:
            facts += (link, real)
            continue
        facts += (link, real, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_mode)
        waiting = [real] if S_ISDIR(stat.st_mode) else []
        while waiting:
            folder = waiting.pop()
            if folder in seen:
                continue
            if len(seen) == _MOST:
                facts.append(os.urandom(16))
                return
            seen.add(folder)
            _list(folder, facts, waiting, links)
