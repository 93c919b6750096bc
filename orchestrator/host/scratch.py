"""Folders of this process's own, for as long as it needs them; what a killed one left is removed by the next.

A folder is locked while it is in use. The kernel drops the lock when its process ends, however it ends, and it is the
same lock for every user and every pid namespace of this machine: no process has to be seen to be believed.

Two machines may share the place: a cache in a home on NFS, a bundle on a shared disk. NFS keeps a lock on a folder
local to each client, and a lock on a file in it would need its lock service, which is often off. So the name of a
folder says which boot of which kernel made it, and on a file system that may be shared only the lock of this very boot
is believed. There one of another boot is another machine's, or was left here before a restart: nothing tells them
apart, so it stays until nothing that uses such a folder can still run.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.host.files import file_system
from orchestrator.host.folders import cache_home, runtime_folder
from orchestrator.host.process import boot_id

if TYPE_CHECKING:
    from collections.abc import Iterator

UNPROVED_S = 7 * 24 * 3600
"""Seconds after which a folder is left whose lock says nothing: another machine's, or where there are no locks.

Whatever uses one (a build, a push, a run with an endpoint's key) is over by then.
"""
_OF_ONE_MACHINE = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"})
"""File systems that no two machines have at once: whose lock nobody has there is left."""
_BOOT = 8
"""Characters of the boot's id in a name; two machines of one home hardly ever share them."""
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STICKY_FOR_ALL = 0o1777
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_TRIES = 20


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder (0700) below ``parent``, which is made, removed afterwards; first those that killed ones left.

    Raises OSError where it cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep_scratch(parent, prefix)
    folder, descriptor = _locked_folder(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def secret_folder() -> Iterator[Path]:
    """A folder for secrets that another program has to read from files: in memory where this machine has that."""
    with scratch_folder(private_folder(), _SECRETS) as folder:
        yield folder


_SECRETS = "secrets-"


def sweep_secrets() -> None:
    """Remove what a killed process left of secrets; costs one look where there is nothing."""
    for base in _bases():
        sweep_scratch(base / _own_name(), _SECRETS)


def private_folder() -> Path:
    """A folder of this user alone that is empty after a boot: in memory where there is such a place, else the cache."""
    for base in _bases():
        folder = base / _own_name()
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            if _is_private(folder):
                return folder
    folder = cache_home() / "private"
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    return folder


def sweep_scratch(parent: Path, prefix: str) -> None:
    """Remove the folders that killed processes left in ``parent``: their names begin with ``prefix``."""
    ours = _of_this_boot(prefix)
    try:
        with os.scandir(parent) as found:
            paths = [
                Path(one.path) for one in found if one.name.startswith(prefix) and one.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return
    of_one_machine = bool(paths) and file_system(parent) in _OF_ONE_MACHINE
    for path in paths:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, _FLAGS)
            try:
                if _is_abandoned(descriptor, here=of_one_machine or path.name.startswith(ours)):
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)


def _bases() -> Iterator[Path]:
    """Where a private folder may lie, best first: the user's own runtime folder, then what is in memory."""
    runtime = runtime_folder(os.environ)
    if runtime is not None and _is_private(runtime):
        yield runtime
    others = [Path("/run")] if os.geteuid() == 0 else []
    others += [Path("/dev/shm"), Path(tempfile.gettempdir())]  # noqa: S108 (the folder in it is checked)
    for folder in sorted(others, key=lambda folder: file_system(folder) not in _IN_MEMORY):
        if _is_private(folder) or _is_for_all(folder) or folder == Path("/run"):
            yield folder


def _is_for_all(folder: Path) -> bool:
    """Whether everybody may write there, and nobody take another's folder away."""
    with contextlib.suppress(OSError):
        mode = folder.lstat().st_mode
        return stat.S_ISDIR(mode) and mode & _STICKY_FOR_ALL == _STICKY_FOR_ALL
    return False


def _own_name() -> str:
    return f".mlorch-{os.geteuid()}"


def _is_private(folder: Path) -> bool:
    """Whether a folder, and no link to one, belongs to this user and is closed to all others."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and found.st_mode & 0o077 == 0


def _locked_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and the descriptor that keeps it locked."""
    for _ in range(_TRIES):
        folder = Path(tempfile.mkdtemp(prefix=_of_this_boot(prefix), dir=parent))
        try:
            descriptor = os.open(folder, _FLAGS)
        except FileNotFoundError:
            continue  # another process took it for one that was left: it was not locked yet
        with contextlib.suppress(OSError):  # a file system without locks: see `_is_abandoned`
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is_in_place(folder, descriptor):
            return folder, descriptor
        os.close(descriptor)
    raise OSError(errno.EAGAIN, "folders that are made here are removed at once", str(parent))


def _is_in_place(folder: Path, descriptor: int) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(folder.lstat(), os.fstat(descriptor))
    return False


def _of_this_boot(prefix: str) -> str:
    """How the names of folders begin that this boot of this machine makes."""
    boot = boot_id().replace("-", "")[:_BOOT]
    return f"{prefix}{boot}." if boot else f"{prefix}{os.uname().nodename}."


def _is_abandoned(descriptor: int, *, here: bool) -> bool:
    """Whether a killed process left the open folder; ``here`` says that all who could have it are on this machine."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        here = False
    return here or time.time() - os.fstat(descriptor).st_ctime > UNPROVED_S
