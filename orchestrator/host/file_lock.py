"""One process at a time: locks on files, which the kernel drops when a process ends, however it ends.

Some file systems have no locks (NFS without its lock service, some of FUSE). Who must be alone there cannot go on: two
daemons would be started, two processes write one file. Who only saves work by being alone, as what it makes appears
whole or not at all, says ``needed=False`` and goes on.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.errors import NoLocksError, StepFailed
from orchestrator.host.files import file_system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO

_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL})


def open_lock(path: Path, *, write: bool = True) -> TextIO:
    """Open a lock file, which is made where it is missing, or with ``write=False`` one that is there.

    Others may write in its folder: a link is not followed, and a pipe nobody writes to is not waited for. Raises
    `StepFailed` [bad-lock] for both, and OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND if write else os.O_RDONLY
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:  # what O_NOFOLLOW says of a link
            raise _no_lock_file(path, "is a link") from None
        if error.errno == errno.ENXIO:  # of a pipe that nobody reads
            raise _no_lock_file(path, "is no regular file") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_lock_file(path, "is no regular file")
    return os.fdopen(descriptor, "a" if write else "r", encoding="ascii", errors="replace")


def _no_lock_file(path: Path, why: str) -> StepFailed:
    hint = "mlorch makes its lock files itself: find out who put this one there, and remove it"
    return StepFailed(f"{path} {why}, so nothing can be locked by it", hint=hint, slug="bad-lock")


@contextmanager
def locked(path: Path, *, on_wait: Callable[[], None] | None = None, needed: bool = True) -> Iterator[bool]:
    """Hold the lock file `path`, whose folder is made; ``on_wait`` is called where another process has it.

    Gives False, and holds nothing, where there are no locks and none is ``needed``; else raises `NoLocksError` there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_lock(path) as stream:
        has_locks = True
        try:
            free = try_lock(stream.fileno(), path)
        except NoLocksError:
            if needed:
                raise
            has_locks, free = False, True
        if not free:
            if on_wait is not None:
                on_wait()
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield has_locks


def lockable(path: Path) -> bool:
    """Whether the lock file `path` can be locked at all."""
    with open_lock(path) as stream:
        try:
            try_lock(stream.fileno(), path)
        except NoLocksError:
            return False
    return True


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Whether nobody else has the lock file `path`; it is ours while the block lasts, and gone after it.

    Where there are no locks somebody may have it.
    """
    with open_lock(path) as stream:
        try:
            free = _is_free(stream.fileno(), path)
        except NoLocksError:
            free = False
        if not free:
            yield False
            return
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)


def _is_free(descriptor: int, path: Path) -> bool:
    """Lock the open file; False where another process has it, or has just removed it."""
    if not try_lock(descriptor, path):
        return False
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except OSError:
        return False


def try_lock(descriptor: int, path: Path, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file, as ``path`` is called; False where another process has it.

    Raises `NoLocksError` where its file system has none.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise NoLocksError(
            f"{path} cannot be locked: {file_system(path) or 'its file system'} has no locks here ({error.strerror}), "
            "and without them two mlorchs would write the same file",
            hint="set MLORCH_HOME (or XDG_CACHE_HOME and XDG_DATA_HOME) to a folder on a local disk",
        ) from None
    return True
