"""What a killed engine leaves: processes of its containers and builds, mounts, a containerd. Ended before a new start.

Only what provably is this engine's is touched: a shim by its engine's socket, a process
by the snapshot below the engine's data folder that is its root.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.host.command import run_program
from orchestrator.host.process import start_ticks
from orchestrator.host.sysfs import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.engines.private import EnginePaths

_PROC = Path("/proc")
_PATIENCE_S = 5.0


def end_leftovers(at: EnginePaths) -> None:
    """End the processes and take away the mounts; nothing there is fine."""
    containerd = pid_of(at.containerd_pid, "containerd")
    left = [*([containerd] if containerd else []), *_shims(at), *_rooted_in(at)]
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and any(start_ticks(pid) is not None for pid in left):
        time.sleep(0.02)
    for target in mounts_below(text_of(_PROC / "self/mountinfo"), (os.path.realpath(at.data), str(at.run))):
        run_program(["umount", "--lazy", target])


def pid_of(pid_file: Path, name: str) -> int | None:
    """The process that a pid file names, where it runs and is the program `name`."""
    text = text_of(pid_file).strip()
    if not text.isdigit() or text_of(_PROC / text / "comm").strip() != name:
        return None
    return int(text)


def drop_stale_pid(pid_file: Path, name: str) -> None:
    """Remove a pid file whose process is gone or is another program by now: the daemon would refuse to start."""
    if pid_of(pid_file, name) is None:
        pid_file.unlink(missing_ok=True)


def mounts_below(mountinfo: str, folders: tuple[str, ...]) -> list[str]:
    """Mount points at or below ``folders``, innermost first."""
    found = []
    for line in mountinfo.splitlines():
        target = line.split(" ")[4].encode().decode("unicode_escape")  # blanks are written \040
        if any(target == folder or target.startswith(f"{folder}/") for folder in folders):
            found.append(target)
    return found[::-1]


def is_rooted_in(mountinfo: str, folder: str) -> bool:
    """Whether the root of a process with this mountinfo is an overlay of ``folder``."""
    for line in mountinfo.splitlines():
        words = line.split(" ")
        if len(words) > 4 and words[4] == "/" and f"={folder}/" in line.partition(" - ")[2]:
            return True
    return False


def _rooted_in(at: EnginePaths) -> Iterator[int]:
    folder = os.path.realpath(at.data)
    for pid in _pids():
        if is_rooted_in(text_of(_PROC / str(pid) / "mountinfo"), folder):
            yield pid


def _shims(at: EnginePaths) -> Iterator[int]:
    mark = str(at.containerd_socket).encode()
    for pid in _pids():
        with contextlib.suppress(OSError):
            words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
            if Path(os.fsdecode(words[0])).name.startswith("containerd-shim") and mark in words:
                yield pid


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid()]
