"""A container on any engine: what it needs before its start, what it prints line by line, and its end."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import stat
import subprocess
import sys
import threading
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.engines.model import ContainerExit
from orchestrator.engines.refusals import missing_mount
from orchestrator.errors import HostLimitError, MlorchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator.engines.model import Engine, Sweepable
    from orchestrator.facts.containers import ContainerSpec

_PROC = Path("/proc")
_ACCESS = "system.posix_acl_access"
_MAX_LINE = 64 * 1024
"""Characters of a line that are given together; a longer one is cut into several."""

# -- before the start --------------------------------------------------------------------------


def require_inputs(spec: ContainerSpec) -> None:
    """Raise `UsageError` (`missing-mount`) for a mount's source that is not there, and as `require_nodes`."""
    for mount in spec.mounts:
        if not Path(mount.source).exists():
            raise missing_mount(f"{mount.source} is to be mounted at {mount.target}, but it is not there")
    require_readable(spec)
    require_nodes(spec)


def require_readable(spec: ContainerSpec) -> None:
    """Raise `UsageError` [unreadable-input] for an input that the container's user may not read.

    Only of a caller who is root and whose containers are somebody else: root itself reads everything, so nothing
    but the container would show it.
    """
    uid, _, gid = spec.user.partition(":")
    if os.geteuid() != 0 or not (uid.isdigit() and gid.isdigit()) or uid == "0":
        return
    user = _User(uid=int(uid), groups=frozenset(int(group) for group in (gid, *spec.groups) if group.isdigit()))
    for mount in spec.mounts:
        path = user.first_closed(mount.source)
        if path:
            raise UsageError(
                f"{mount.source} is to be mounted at {mount.target}, and {path} may not be read by user {uid}, "
                "who the container runs as",
                hint=f"`chmod -R o+rX {mount.source}`, run mlorch as the user whom it belongs to, or set MLORCH_HOME",
                slug="unreadable-input",
            )


@dataclass(frozen=True, slots=True)
class _User:
    """Whom a container runs as."""

    uid: int
    groups: frozenset[int]

    def first_closed(self, top: str) -> str:
        """``top``, or a file right in it, that this user may not read; empty where it can be used.

        A file that is closed among others that are not is no input, or the harness says so.
        """
        if self._is_closed(top):
            return top
        try:
            with os.scandir(top) as entries:
                files = [entry.path for entry in islice(entries, 500) if entry.is_file(follow_symlinks=False)]
        except OSError:  # a file
            return ""
        return files[0] if files and all(map(self._is_closed, files)) else ""

    def _is_closed(self, path: str) -> bool:
        try:
            facts = os.lstat(path)
            if stat.S_ISLNK(facts.st_mode) or _ACCESS in os.listxattr(path, follow_symlinks=False):
                return False  # a list of rights says more than the mode does
        except OSError:
            return False
        wanted = 0o5 if stat.S_ISDIR(facts.st_mode) else 0o4
        shift = 6 if facts.st_uid == self.uid else 3 if facts.st_gid in self.groups else 0
        return facts.st_mode >> shift & wanted != wanted


def require_nodes(spec: ContainerSpec) -> None:
    """Raise `HostLimitError` for a node that is gone since the plan (`device-gone`) or in use (`device-busy`).

    A node that only one program can open is opened and closed again; where this process
    may not open it, the container's own attempt has to show it.
    """
    for path in dict.fromkeys((*spec.expects, *spec.devices)):
        if not _is_device(path):
            raise HostLimitError(
                f"the device node {path} is gone: it was there when the run was planned",
                hint="the driver was reset or removed it; see `mlorch doctor` and the kernel's log, then run again",
                slug="device-gone",
            )
    for path in spec.exclusive:
        if _is_busy(path):
            users = ", ".join(holders(path)) or "a program that this user may not see"
            raise HostLimitError(
                f"the device {path} is in use by {users}, and only one program at a time can have it",
                hint="end that program, or choose other devices with --devices",
                slug="device-busy",
            )


def _is_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)  # noqa: PTH116 (one call, as below)
    except OSError:
        return False


def _is_busy(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


def holders(path: str, proc: Path = _PROC) -> Iterable[str]:
    """The programs that have a file open, as far as this user may look: ``name (pid)``."""
    found = []
    for entry in sorted(proc.iterdir(), key=lambda entry: entry.name):
        if not entry.name.isdigit():
            continue
        try:
            links = [str(link.readlink()) for link in (entry / "fd").iterdir()]
            name = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if path in links:
            found.append(f"{name} ({entry.name})")
    return found


def on_this_terminal(run: Sequence[str], words: Sequence[str], env: Mapping[str, str] | None = None) -> int:
    """Run an engine's client in the foreground: ``run`` ends with its verb, ``words`` are the container's.

    ``env`` is its environment, this process's where it is left out. It gets a terminal where this process has one.
    The exit status is the container's.
    """
    terminal = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    return subprocess.run([*run, "-i", *terminal, *words], check=False, env=env).returncode  # noqa: S603 (no shell)


# -- output and end ----------------------------------------------------------------------------


def ended(container: str, state: Mapping[str, Any], *, out_of_memory: bool = False) -> ContainerExit:
    """How a container ended, from the `State` of its inspection, which podman writes as docker does.

    ``out_of_memory`` is what is known of that beside the state.
    """
    return ContainerExit(
        container_id=container,
        exit_code=int(state["ExitCode"]),
        out_of_memory=bool(state.get("OOMKilled")) or out_of_memory,
    )


class Removals:
    """Containers that ended and are being removed while their results are read: an engine takes a quarter second.

    Nothing is left to chance: the threads are no daemons, so this process does not end before they do, and the
    container of a process that is killed is swept by the next one.
    """

    def __init__(self) -> None:
        self._threads: dict[str, threading.Thread] = {}

    def begin(self, engine: Sweepable, container: str, name: str) -> None:
        thread = threading.Thread(target=self._remove, args=(engine, container))
        self._threads[name] = thread
        thread.start()

    def wait(self, name: str = "") -> None:
        """Until none is left that began before, or the one of this name is gone: its name is free then."""
        for each in [name] if name else list(self._threads):
            thread = self._threads.pop(each, None)
            if thread is not None:
                thread.join()

    @staticmethod
    def _remove(engine: Sweepable, container: str) -> None:
        with contextlib.suppress(MlorchError):  # an engine that is gone is told by whoever asks it next
            engine.remove(container)


@contextlib.contextmanager
def removed_after(
    engine: Engine, container: str, removals: Removals | None = None, *, name: str = ""
) -> Iterator[None]:
    """Remove a container after the `with`, whatever happens in it; one that did not end by itself is stopped first.

    With ``removals`` one that ended is removed while the caller goes on, under the ``name`` that it had.
    """
    ended = False
    try:
        yield
        ended = True
    finally:
        with contextlib.suppress(MlorchError):  # an engine that is gone is in the error that is already on its way
            if not ended:
                # The harness ends at once; a first process without a handler ignores the signal.
                engine.stop(container, grace_s=5)
            if ended and removals is not None:
                removals.begin(engine, container, name or container)
            else:
                engine.remove(container)


def lines(chunks: Iterable[tuple[bytes | None, bytes | None]]) -> Iterator[str]:
    """Lines of standard output and standard error, each whole, in the order in which they end.

    Chunks (of one or the other) end anywhere, also inside a character; what is left
    at the end without a newline is a line too.
    """
    streams = (_Lines(), _Lines())
    for parts in chunks:
        for stream, part in zip(streams, parts, strict=True):
            if part:
                yield from stream.feed(part)
    for stream in streams:
        yield from stream.feed(b"", final=True)


class _Lines:
    """The lines of one stream."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[str]:
        *whole, self._held = (self._held + self._decoder.decode(chunk, final)).split("\n")
        for line in whole:
            yield line.rstrip("\r")
        while len(self._held) > _MAX_LINE:
            yield self._held[:_MAX_LINE]
            self._held = self._held[_MAX_LINE:]
        if final and self._held:
            yield self._held
            self._held = ""
