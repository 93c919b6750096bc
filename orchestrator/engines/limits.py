"""What the engine of this host can give of each rlimit: a daemon without CAP_SYS_RESOURCE cannot raise its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.private import listener
from orchestrator.host.sysfs import text_of

if TYPE_CHECKING:
    from orchestrator.engines.model import EngineFacts

NOT_HELD_HINT = (
    "take an engine of root's, or have cpuset, memory and pids of cgroup v2 delegated to this user (systemd: "
    "`Delegate=` of user@.service)"
)
_PROC = Path("/proc")
_SYS_RESOURCE = 24
_NAMES = {
    "Max core file size": "core",
    "Max cpu time": "cpu",
    "Max data size": "data",
    "Max file locks": "locks",
    "Max file size": "fsize",
    "Max locked memory": "memlock",
    "Max msgqueue size": "msgqueue",
    "Max nice priority": "nice",
    "Max open files": "nofile",
    "Max pending signals": "sigpending",
    "Max processes": "nproc",
    "Max realtime priority": "rtprio",
    "Max realtime timeout": "rttime",
    "Max resident set": "rss",
    "Max stack size": "stack",
}


def daemon_limits(host: str) -> dict[str, int | None]:
    """The highest hard limit by name of ulimit, None where there is no bound; units as in `getrlimit`.

    Empty where the engine is not on this host or its process cannot be seen: then only
    the engine itself can say, when a container starts.
    """
    path = host.removeprefix("unix://")
    pid = listener(path) if path != host else None
    if not pid:
        return {}
    return limits_of(_daemon(pid))


def limits_of(pid: int, proc: Path = _PROC) -> dict[str, int | None]:
    """The bounds of a daemon by its pid; empty where /proc does not show them."""
    hard: dict[str, int | None] = {}
    for line in text_of(proc / f"{pid}/limits").splitlines()[1:]:
        name = _NAMES.get(line[:26].strip())
        words = line[26:].split()
        if name is not None and len(words) >= 2:
            hard[name] = None if words[1] == "unlimited" else int(words[1])
    if hard and _is_of_the_host(pid, proc) and capabilities(str(pid), proc) >> _SYS_RESOURCE & 1:
        # It may raise every one of them; open files have the kernel's own bound beside.
        return {**dict.fromkeys(hard), "nofile": _number(proc / "sys/fs/nr_open")}
    return hard


def _is_of_the_host(pid: int, proc: Path) -> bool:
    """Whether a process is in the first user namespace: capabilities in another one raise no limit of the host's."""
    mapped = text_of(proc / f"{pid}/uid_map").split()
    return not mapped or mapped == ["0", "0", str(2**32 - 1)]


def capabilities(pid: str, proc: Path = _PROC) -> int:
    """The effective capabilities of a process (or of ``self``) as a bit set."""
    lines = text_of(proc / pid / "status").splitlines()
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)


def not_held(facts: EngineFacts) -> str:
    """Which limits of a container this engine does not hold, in a sentence; empty where it holds all."""
    if not facts.unlimited:
        return ""
    return (
        f"this engine holds no container to its {' and '.join(facts.unlimited)}: it has no control groups for them, so "
        "a test may use more than it was given, and other programs what it was given"
    )


def own_limits() -> dict[str, int | None]:
    """The bounds of what this very process starts, as podman's containers are.

    podman lowers its own bound of processes to the kernel's number of pids first.
    """
    found = limits_of(os.getpid())
    pids, most = _number(_PROC / "sys/kernel/pid_max"), found.get("nproc")
    if pids is not None and most is not None:
        found["nproc"] = min(pids, most)
    return found


def _daemon(pid: int) -> int:
    """The daemon behind a socket: the listener, or dockerd where systemd listens for it."""
    if pid != 1 or _is_dockerd(_PROC / "1"):
        return pid
    found = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit() and _is_dockerd(entry)]
    return found[0] if len(found) == 1 else pid


def _is_dockerd(entry: Path) -> bool:
    return text_of(entry / "comm").strip() == "dockerd"


def _number(path: Path) -> int | None:
    try:
        return int(text_of(path))
    except ValueError:
        return None
