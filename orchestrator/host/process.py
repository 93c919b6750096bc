"""Which process this is, whether another one still lives, and signals turned into one exception."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.facts.containers import Owner
from orchestrator.facts.sizes import whole_number
from orchestrator.host.sysfs import link_name, text_of
from orchestrator.plan.run.user import run_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.plan.run.user import RunUser

PROC = Path("/proc")


def this_process() -> Owner:
    """The owner that records and containers of this process name."""
    pid = os.getpid()
    return Owner(pid=pid, start_ticks=start_ticks(pid) or 0, boot_id=boot_id(), user=str(os.getuid()))


def this_user() -> RunUser:
    """Who the containers of this process are, and who gets what they leave."""
    return run_user(os.getuid(), os.getgid(), os.environ)


def boot_id() -> str:
    """Changes with every boot; empty where the kernel does not show it."""
    return text_of(PROC / "sys/kernel/random/boot_id")


def alive(owner: Owner) -> bool:
    """Whether the process that ``owner`` names runs now, on this boot of this machine."""
    return owner.boot_id == boot_id() and start_ticks(owner.pid) == owner.start_ticks


def owner_label(owner: Owner) -> str:
    """The owner as a container's label: pid, start ticks, boot id, pid namespace."""
    return f"{owner.pid}:{owner.start_ticks}:{owner.boot_id}:{pid_namespace()}"


def parse_owner_label(text: str) -> tuple[Owner, str] | None:
    """The owner and its pid namespace; None for text that is not such a label."""
    fields = text.split(":")
    if len(fields) != 4:
        return None
    pid, ticks = whole_number(fields[0]), whole_number(fields[1])
    if pid is None or ticks is None:
        return None
    return Owner(pid=pid, start_ticks=ticks, boot_id=fields[2]), fields[3]


def pid_namespace() -> str:
    """The number of this process's pid namespace: a pid means nothing in another."""
    return "".join(character for character in link_name(PROC / "self/ns/pid") if character.isdigit())


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `KeyboardInterrupt`, as Ctrl-C does; a second does not cut the clean-up short.

    Only the main thread may set handlers; elsewhere (the Python API in a thread)
    nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal seen
        if not seen:
            seen = True
            raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    # nohup ignores SIGHUP, and a shell's background job SIGINT: what was ignored stays so.
    ours = [number for number in numbers if before[number] is not signal.SIG_IGN]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            with contextlib.suppress(ValueError, TypeError):
                signal.signal(number, before[number])


def start_ticks(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat; the name in field 2 may hold spaces and parentheses. A zombie is dead."""
    text = text_of(PROC / f"{pid}/stat")
    fields = text.rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in {"Z", "X"}:
        return None
    return int(fields[19])
