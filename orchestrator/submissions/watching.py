"""A tree that grows while it is looked at: which of its files change, and what cannot be said yet. Pure.

That something changed is known from listings (size, times, inode), so that it works on every file system: events of
the kernel do not tell of changes that another machine makes on a shared one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.submissions.findings import Finding
    from orchestrator.submissions.tree import FileFact, Tree

_OF_A_SYSTEM = 4
"""Folders from the root to a system's results: what is said of one above them does not wait for a file below."""


@dataclass(slots=True)
class Changes:
    """What changed between looks at a tree, and which files were not still for long enough."""

    still_s: float
    """For how long a file has to stay as it is until it counts as complete."""
    _facts: dict[str, FileFact | str] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    _first: bool = True

    def look(self, tree: Tree, now_s: float, wall_ns: int) -> bool:
        """Whether something is otherwise than at the last look; ``now_s`` counts evenly, ``wall_ns`` since 1970."""
        found = dict(_listed(tree))
        changed = found != self._facts or self._first
        for path, fact in found.items():
            if isinstance(fact, str) or self._facts.get(path) == fact:
                continue
            if not self._first or fact.mtime_ns > wall_ns - self.still_s * 1e9:
                self._since[path] = now_s
        for path in self._since.keys() - found.keys():
            del self._since[path]
        self._facts, self._first = found, False
        return changed

    def moving(self, now_s: float) -> frozenset[str]:
        """The files that changed within the last ``still_s`` seconds."""
        self._since = {path: at for path, at in self._since.items() if now_s - at < self.still_s}
        return frozenset(self._since)


def _listed(tree: Tree) -> Iterable[tuple[str, FileFact | str]]:
    for folder in tree.root.walk():
        yield folder.path, "a folder"
        for name, fact in folder.files.items():
            yield folder.below(name), fact
        for name, target in folder.links.items():
            yield folder.below(name), target


def told_and_waiting(findings: Iterable[Finding], moving: Iterable[str]) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """The findings that can be told, and the paths of those that cannot yet.

    What is said of such a file, of its folder, of one beside it, or of a model or result that it is of, may be untrue
    as soon as it is complete, and waits. Of a file above the systems only what is said of itself waits, and only
    where it is one that is read; of a system's description, what is said of its results too.
    """
    deep = [path for path in moving if path.count("/") >= _OF_A_SYSTEM]
    folders = frozenset(path.rpartition("/")[0] for path in deep)
    waiting = {path for path in moving if path.endswith(".json") and path not in deep} | folders
    above = {folder for path in folders for folder in _above(path)} | waiting
    systems = {_system(path.removesuffix(".json")) for path in waiting - folders}

    def waits(path: str) -> bool:
        return path in above or path.rpartition("/")[0] in folders or _system(path) in systems

    told, held = [], set()
    for each in findings:
        if waits(each.path):
            held.add(each.path)
        else:
            told.append(each)
    return tuple(told), tuple(sorted(held))


def _above(folder: str) -> Iterable[str]:
    """A folder and those that it lies in, up to the results of a system."""
    parts = folder.split("/")
    return ("/".join(parts[:depth]) for depth in range(len(parts), _OF_A_SYSTEM - 1, -1))


def _system(path: str) -> tuple[str, ...]:
    """The division, submitter and system of a path below them, or of the path of a description."""
    parts = path.split("/")
    return (*parts[:2], *parts[3:_OF_A_SYSTEM])
