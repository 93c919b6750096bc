"""What lies in a submission tree: folders and regular files, with sizes; links and what else is odd by name.

Nothing is followed: a link has its target's text, and `Tree.find` resolves it within the tree only, as a reader of
the submission would. The number of entries, the depth and the lengths of names are bounded.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.facts.neutral import one_line
from orchestrator.host.untrusted import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

MOST_ENTRIES = 2_000_000
"""The largest public round has 150 thousand."""
DEEPEST = 40
LONGEST_PATH = 4000
_MOST_LINKS = 8
"""Links that are resolved one after the other."""
_KINDS = {
    stat.S_IFIFO: "is a pipe",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}


class FileFact(NamedTuple):
    """A regular file: its bytes and what tells that it is the same as before."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(slots=True)
class Folder:
    """A folder and what lies in it, in the order in which the file system lists it."""

    path: str
    """Below the root, with `/`; empty for the root."""
    folders: dict[str, Folder] = field(default_factory=dict)
    files: dict[str, FileFact] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def at(self, *names: str) -> Folder | None:
        """A folder below, by the names on the way there; None where there is none."""
        found: Folder | None = self
        for name in names:
            if found is None:
                return None
            found = found.folders.get(name)
        return found

    def below(self, name: str) -> str:
        """The path of something in this folder."""
        return f"{self.path}/{name}" if self.path else name

    def sort(self) -> None:
        """Put the names in order, so that a check does not depend on the file system's."""
        self.folders = dict(sorted(self.folders.items()))
        self.files = dict(sorted(self.files.items()))
        self.links = dict(sorted(self.links.items()))

    def walk(self) -> Iterator[Folder]:
        """This folder and all below it, each before those in it."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting.extend(reversed(folder.folders.values()))


class Oddity(NamedTuple):
    """Something that is no file and no folder, or could not be listed."""

    path: str
    why: str


@dataclass(slots=True)
class Tree:
    """A listed tree. ``cut`` says why the listing is not whole; empty where it is."""

    root: Folder
    odd: list[Oddity] = field(default_factory=list)
    entries: int = 0
    cut: str = ""

    def find(self, path: str) -> Folder | FileFact | None:
        """What a path below the root leads to, links within the tree resolved; None where it leads to nothing."""
        return self._find(path, _MOST_LINKS)

    def leads_out(self, path: str, target: str) -> bool:
        """Whether the text of a link that lies at ``path`` leads out of the tree."""
        return target.startswith("/") or _joined(path.rpartition("/")[0], target) is None

    def _find(self, path: str, links: int) -> Folder | FileFact | None:
        at: Folder | FileFact = self.root
        names = [name for name in path.split("/") if name]
        for index, name in enumerate(names):
            if isinstance(at, FileFact):
                return None
            if name in at.links and links:
                target = _joined(at.path, at.links[name])
                rest = "/".join(names[index + 1 :])
                return None if target is None else self._find(f"{target}/{rest}", links - 1)
            found = at.folders.get(name) or at.files.get(name)
            if found is None:
                return None
            at = found
        return at


def _joined(folder: str, target: str) -> str | None:
    """A relative path from a folder, without dots; None where it leads above the root."""
    if target.startswith("/"):
        return None
    parts = [name for name in folder.split("/") if name]
    for name in target.split("/"):
        if name == "..":
            if not parts:
                return None
            parts.pop()
        elif name not in {"", "."}:
            parts.append(name)
    return "/".join(parts)


def list_tree(root: Path, wanted: Callable[[str], bool] = lambda _: True) -> Tree:
    """The tree below ``root``; folders of whose path ``wanted`` says no are named, and not looked into.

    Raises OSError for ``root`` itself only.
    """
    tree = Tree(Folder(""))
    held = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _list(tree, tree.root, held, wanted, 1)
    finally:
        os.close(held)
    return tree


def list_submission(root: Path, divisions: Sequence[str], submitter: str = "") -> Tree:
    """The divisions of a tree, or one submitter's part of them; what else lies in its root by name."""

    def wanted(path: str) -> bool:
        division, _, rest = path.partition("/")
        return division in divisions and (not (submitter and rest) or rest.split("/", 1)[0] == submitter)

    return list_tree(root, wanted)


def _list(tree: Tree, folder: Folder, held: int, wanted: Callable[[str], bool], depth: int) -> None:
    try:
        with os.scandir(held) as entries:
            for entry in entries:
                tree.entries += 1
                if tree.entries > MOST_ENTRIES:
                    tree.cut = f"it has more than {MOST_ENTRIES:,} entries"
                    return
                _enter(tree, folder, entry, held)
    except OSError as error:
        tree.odd.append(Oddity(folder.path, f"cannot be listed: {error.strerror}"))
    for name, inner in folder.folders.items():
        if tree.cut:
            return
        if not wanted(inner.path):
            continue
        if depth >= DEEPEST or len(inner.path) > LONGEST_PATH:
            tree.odd.append(Oddity(inner.path, "lies too deep to be looked into"))
            continue
        try:
            below = os.open(name, FOLDER, dir_fd=held)
        except OSError as error:
            tree.odd.append(Oddity(inner.path, f"cannot be opened: {error.strerror}"))
            continue
        try:
            _list(tree, inner, below, wanted, depth + 1)
        finally:
            os.close(below)


def _enter(tree: Tree, folder: Folder, entry: os.DirEntry[str], held: int) -> None:
    name = entry.name
    try:
        if entry.is_dir(follow_symlinks=False):
            folder.folders[name] = Folder(folder.below(name))
        elif entry.is_file(follow_symlinks=False):
            facts = entry.stat(follow_symlinks=False)
            folder.files[name] = FileFact(facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)
        elif entry.is_symlink():
            folder.links[name] = os.readlink(name, dir_fd=held)
        else:
            kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
            tree.odd.append(Oddity(folder.below(name), _KINDS.get(kind, "is no regular file")))
    except OSError as error:
        tree.odd.append(Oddity(folder.below(name), f"cannot be looked at: {error.strerror}"))
    if not name.isprintable() and one_line(name) != name:
        tree.odd.append(Oddity(folder.below(name), "has a name with characters that steer a terminal"))
