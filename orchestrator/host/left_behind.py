"""What a container left in a folder that was its own: rights taken away, special files removed, given to the caller."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.facts.neutral import neutral
from orchestrator.host.untrusted import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

_DEEPEST = 64
_MOST_NOTED = 100
_SPECIAL = {
    stat.S_IFIFO: "a pipe; removed",
    stat.S_IFSOCK: "a socket; removed",
    stat.S_IFCHR: "a device; removed",
    stat.S_IFBLK: "a device; removed",
}


def give(path: Path, owner: str) -> None:
    """Make ``path`` itself belong to ``owner`` (``uid:gid``); only root can, and for others it is theirs already."""
    uid, gid = _numbers(owner)
    if os.geteuid() == 0:
        os.chown(path, uid, gid, follow_symlinks=False)


def take_over(folder: Path, owner: str) -> dict[str, str]:
    """Make everything below ``folder`` harmless, and ``owner``'s (``uid:gid``) where this process is root.

    No setuid, setgid or sticky bit, no writing for group and others; the owner may read and write.
    Pipes, sockets and devices are removed. Links are left, and never followed. Gives what was done,
    by the path below ``folder``; what could not be done too. Raises OSError for ``folder`` itself only.
    """
    held = _open_whatever_its_mode(folder)
    task = _Task(top=held, owner=_numbers(owner) if os.geteuid() == 0 else None)
    try:
        task.folder(held, "", 1)
        while task.moved:
            task.again(task.moved.pop())
        os.fchmod(held, stat.S_IMODE(os.fstat(held).st_mode) & 0o755 | 0o700)
        if task.owner is not None:
            os.fchown(held, *task.owner)
    finally:
        os.close(held)
    return task.done


def _open_whatever_its_mode(folder: Path) -> int:
    """The folder, open; a container may have taken all rights of its owner away."""
    path = os.open(folder, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mode = stat.S_IMODE(os.fstat(path).st_mode)
        if mode & 0o700 != 0o700:
            os.chmod(f"/proc/self/fd/{path}", mode | 0o700)  # noqa: PTH101 (chmod that follows nothing)
        return os.open(f"/proc/self/fd/{path}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(path)


def take_back(folder: Path, owner: str) -> dict[str, str]:
    """`take_over`; where ``folder`` itself cannot be opened that is reported too, and is no error."""
    try:
        return take_over(folder, owner)
    except OSError as error:
        return {".": f"could not be made harmless: {error.strerror}"}


def discard(path: Path) -> None:
    """Remove what a program left at ``path``: a file, a link, or a folder of any depth and whatever its modes.

    Raises OSError for what cannot be removed; that nothing is there is none.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    take_back(path, f"{os.geteuid()}:{os.getegid()}")  # rmtree stops at closed folders, and at a thousand deep
    shutil.rmtree(path)


@dataclass(slots=True, kw_only=True)
class _Task:
    top: int
    """The folder itself, open."""
    owner: tuple[int, int] | None
    moved: list[str] = field(default_factory=list)
    """Folders that lay too deep: in ``top`` now, and not looked into yet."""
    done: dict[str, str] = field(default_factory=dict)

    def folder(self, held: int, path: str, depth: int) -> None:
        """Everything in the folder that is open as ``held``."""
        with os.scandir(held) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            where = f"{path}{name}"
            try:
                self._entry(held, name, where, depth)
            except OSError as error:
                self._note(where, f"could not be made harmless: {error.strerror}")

    def _entry(self, held: int, name: str, where: str, depth: int) -> None:
        facts = os.stat(name, dir_fd=held, follow_symlinks=False)
        kind = stat.S_IFMT(facts.st_mode)
        if kind in _SPECIAL:
            os.unlink(name, dir_fd=held)
            self._note(where, _SPECIAL[kind])
            return
        if kind == stat.S_IFLNK:
            if self.owner is not None:
                os.chown(name, *self.owner, dir_fd=held, follow_symlinks=False)
            return
        if facts.st_mode & (stat.S_ISUID | stat.S_ISGID) and kind == stat.S_IFREG:
            self._note(where, f"mode {stat.S_IMODE(facts.st_mode):04o}; its special bits were taken away")
        self._own(held, name, facts.st_mode, folder=kind == stat.S_IFDIR)
        if kind == stat.S_IFDIR:
            self._inside(held, name, where, depth)

    def _own(self, held: int, name: str, mode: int, *, folder: bool) -> None:
        """Rights first and the owner after them: a file with special bits never belongs to the caller."""
        wanted = mode & 0o755 | (0o700 if folder else 0o600)
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held)
        try:
            if stat.S_IMODE(mode) != wanted:
                os.chmod(f"/proc/self/fd/{descriptor}", wanted)  # noqa: PTH101 (chmod that follows nothing)
            if self.owner is not None:
                os.chown(f"/proc/self/fd/{descriptor}", *self.owner)
        finally:
            os.close(descriptor)

    def _inside(self, held: int, name: str, where: str, depth: int) -> None:
        if depth >= _DEEPEST:
            self._move_up(held, name, where)
            return
        inner = os.open(name, FOLDER, dir_fd=held)
        try:
            self.folder(inner, f"{where}/", depth + 1)
        finally:
            os.close(inner)

    def _move_up(self, held: int, name: str, where: str) -> None:
        """Every folder that is entered is held open: one that lies too deep is moved to the top first."""
        new = f"deep-{secrets.token_hex(4)}"
        os.rename(name, new, src_dir_fd=held, dst_dir_fd=self.top)
        self.moved.append(new)
        self._note(where, f"deeper than {_DEEPEST} folders; moved to {new}")

    def again(self, name: str) -> None:
        """Look into a folder that was moved to the top."""
        try:
            self._inside(self.top, name, name, 1)
        except OSError as error:
            self._note(name, f"could not be made harmless: {error.strerror}")

    def _note(self, where: str, what: str) -> None:
        if len(self.done) < _MOST_NOTED:
            self.done[neutral(where)] = what
        elif len(self.done) == _MOST_NOTED:
            self.done["…"] = "and more"


def _numbers(owner: str) -> tuple[int, int]:
    uid, _, gid = owner.partition(":")
    return int(uid), int(gid or uid)
