"""A lock for each processor of this host, which all its users share: files that the kernel unlocks when a process ends.

They lie in a folder of the system that everybody may write to and nobody can take another's file out of: root's, with
the sticky bit. It is chosen by what it is, not by who asks, so that root and every user come to the same one. What lies
there is input: no link is followed, only regular files with one name are opened, what they say is limited and checked.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import stat
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import HostLimitError
from orchestrator.facts.containers import Owner
from orchestrator.facts.neutral import one_line
from orchestrator.facts.processors import Holder
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.process import PROC, alive, pid_namespace, runs_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FOLDERS = (Path("/run/lock"), Path("/dev/shm"), Path("/tmp"))  # noqa: S108 (checked before use)
"""Where the locks may lie, the first that fits. Some distributions let only root into /run/lock; logind removes files
of users who log out from /dev/shm where /run/lock is open; /tmp may be a private one."""
_STICKY_FOR_ALL = 0o1777
_WORDS = 1024
"""Bytes of what a holder says of itself, padded: written in one go over what was there."""
_LONGEST = 120
"""Characters of one thing that a holder says."""
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOOK_AGAIN_S = 0.5
"""Seconds between two looks at who has a lock that is waited for."""
_TRIES = 10
_TRY_AGAIN_S = 0.02
"""A file that another user makes at this moment is open to all only a moment later."""


class NoLock(Exception):
    """A processor cannot be locked at all; the text says why."""


def shared_folder() -> Path | None:
    """The folder of the locks; None where this system has none that is fit for it."""
    for folder in FOLDERS:
        with contextlib.suppress(OSError):
            facts = folder.lstat()
            shared = facts.st_uid == 0 and stat.S_IMODE(facts.st_mode) & _STICKY_FOR_ALL == _STICKY_FOR_ALL
            if stat.S_ISDIR(facts.st_mode) and shared and not os.statvfs(folder).f_flag & os.ST_RDONLY:
                return folder
    return None


def lock_name(cpu: int) -> str:
    """The file of a processor."""
    return f"mlorch-cpu-{cpu}.lock"


@dataclass(frozen=True, slots=True)
class ProcessorLock:
    """A processor's lock that this process has, until it closes it or ends."""

    cpu: int
    descriptor: int
    writable: bool

    def tell(self, holder: Holder) -> None:
        """Say who has it; what cannot be written there holds nothing up."""
        if not self.writable:
            return
        said = asdict(holder)
        del said["cpus"], said["user"]  # the file is a processor's, and the kernel knows the user
        words = json.dumps(said | {"uid": os.getuid()}).encode()
        with contextlib.suppress(OSError):
            os.pwrite(self.descriptor, words.ljust(_WORDS), 0)

    def release(self) -> None:
        """Give it back."""
        with contextlib.suppress(OSError):
            if self.writable:
                os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)


def lock(folder: Path, cpu: int, *, on_wait: Callable[[Holder | None], None], wait: bool = True) -> ProcessorLock:
    """Lock a processor; ``on_wait`` hears of who has it, before the wait and when that changes.

    Raises:
        NoLock: its file is of a kind that cannot be locked, or closed to this user.
        HostLimitError: `cpus-busy` where another process has it and ``wait`` is not wanted.
    """
    while True:
        descriptor, writable = _opened(folder, cpu)
        try:
            _take(descriptor, cpu, on_wait, wait=wait)
            if _is_in_place(descriptor, folder, cpu):
                return ProcessorLock(cpu, descriptor, writable)
        except OSError as error:
            os.close(descriptor)
            raise NoLock(f"{folder / lock_name(cpu)} cannot be locked: {error.strerror}") from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # root cleaned the folder meanwhile: what others lock now is another file


def _take(descriptor: int, cpu: int, on_wait: Callable[[Holder | None], None], *, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(descriptor)
        if not wait:
            who = "another mlorch" if holder is None else holder.words()
            raise HostLimitError(
                f"processor {cpu} is taken by {who}",
                hint="leave --no-wait out to wait for it, or take others with --cpus",
                slug="cpus-busy",
            ) from None
        on_wait(holder)
        with _telling_of_others(descriptor, holder, on_wait):
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # a signal's exception ends it


@contextlib.contextmanager
def _telling_of_others(
    descriptor: int, holder: Holder | None, on_wait: Callable[[Holder | None], None]
) -> Iterator[None]:
    """While the block lasts, ``on_wait`` hears of each that gets the lock instead: those who waited before."""
    ended = threading.Event()

    def watch() -> None:
        known = holder
        while not ended.wait(_LOOK_AGAIN_S):
            now = _holder(descriptor)
            if now is not None and (known is None or now.session != known.session) and alive(now.owner):
                known = now
                on_wait(now)

    thread = threading.Thread(target=watch, name="waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def holders(folder: Path, cpus: Sequence[int]) -> tuple[Holder, ...]:
    """The other live mlorchs that have some of these processors, each once with all of them.

    No lock is touched, but for that of a holder in another pid namespace (a container for developers): whether it was
    killed only the lock itself can tell.
    """
    found: dict[str, Holder] = {}
    taken: dict[str, list[int]] = {}
    for cpu in cpus:
        holder = None
        with contextlib.suppress(OSError, NoLock):
            descriptor = _checked(os.open(folder / lock_name(cpu), os.O_RDONLY | _FLAGS), folder, cpu)
            try:
                holder = _other_holder(descriptor)
            finally:
                os.close(descriptor)
        if holder is not None:
            found[holder.session] = holder
            taken.setdefault(holder.session, []).append(cpu)
    return tuple(replace(holder, cpus=tuple(taken[session])) for session, holder in sorted(found.items()))


def _other_holder(descriptor: int) -> Holder | None:
    """Who has this lock, where that is a live process and not this one."""
    holder = _holder(descriptor)
    if holder is None or not alive(holder.owner):
        return None
    if holder.owner.namespace not in {"", pid_namespace()}:
        return holder if _is_locked(descriptor) else None
    return holder if holder.owner.pid != os.getpid() else None


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


# -- the file of a processor -------------------------------------------------------------------


def _opened(folder: Path, cpu: int) -> tuple[int, bool]:
    """The open file, made where it is absent, and whether it may be written to. Raises `NoLock`."""
    path = folder / lock_name(cpu)
    error: OSError | None = None
    for _ in range(_TRIES):
        # An existing file is never opened with O_CREAT: in such folders the kernel refuses that for another's file.
        for flags, writable in ((os.O_RDWR, True), (os.O_RDONLY, False)):
            try:
                return _checked(os.open(path, flags | _FLAGS), folder, cpu), writable
            except OSError as refused:
                error = refused
        if isinstance(error, FileNotFoundError):
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o666)
            except FileExistsError:
                continue
            except OSError as refused:
                raise NoLock(f"{path} cannot be made: {refused.strerror}") from None
            os.fchmod(descriptor, 0o666)  # whatever the umask
            return descriptor, True
        time.sleep(_TRY_AGAIN_S)
    whose = ""
    with contextlib.suppress(OSError):
        whose = f", and belongs to user {_user(path.lstat().st_uid)}"
    raise NoLock(f"{path} cannot be opened: {error.strerror if error else 'it comes and goes'}{whose}")


def _checked(descriptor: int, folder: Path, cpu: int) -> int:
    """The descriptor, of a regular file with one name: a second name may be a file of somebody's elsewhere."""
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode) and facts.st_nlink <= 1:
        return descriptor
    os.close(descriptor)
    what = "has several names" if stat.S_ISREG(facts.st_mode) else "is no regular file"
    raise NoLock(f"{folder / lock_name(cpu)} {what}; it belongs to user {_user(facts.st_uid)}")


def _is_in_place(descriptor: int, folder: Path, cpu: int) -> bool:
    try:
        facts = (folder / lock_name(cpu)).lstat()
    except OSError:
        return False
    held = os.fstat(descriptor)
    return (facts.st_dev, facts.st_ino) == (held.st_dev, held.st_ino)


def _holder(descriptor: int) -> Holder | None:
    """Who says in the file that it has the lock; None where it says nothing of sense. Anybody may write there."""
    try:
        said = strict_json(os.pread(descriptor, _WORDS, 0).decode())
        owner = said["owner"]
        holder = Holder(
            session=_text(said["session"]),
            run_id=_text(said["run_id"]),
            user=_user(int(said["uid"])),
            since=_text(said["since"]),
            owner=Owner(
                pid=int(owner["pid"]),
                start_ticks=int(owner["start_ticks"]),
                boot_id=_text(owner["boot_id"]),
                namespace=_text(owner.get("namespace", "")),
                machine=_text(owner.get("machine", "")),
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not runs_here(holder.owner) or holder.owner.namespace not in {"", pid_namespace()}:
        return holder
    with contextlib.suppress(OSError):  # the kernel's word counts, where it gives one
        uid = (PROC / str(holder.owner.pid)).stat().st_uid
        return replace(holder, user=_user(uid))
    return holder


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return one_line(value)[:_LONGEST]


def _user(uid: int) -> str:
    """A user's name, or its number where it has none."""
    try:
        return one_line(pwd.getpwuid(uid).pw_name)
    except (KeyError, OverflowError):
        return str(uid)
