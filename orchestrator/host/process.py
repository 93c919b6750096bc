"""Which process this is, and whether another one may still live."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.facts.containers import Owner
from orchestrator.facts.sizes import whole_number
from orchestrator.host.sysfs import link_name, text_of
from orchestrator.plan.run.user import run_user

if TYPE_CHECKING:
    from orchestrator.plan.run.user import RunUser

PROC = Path("/proc")
MACHINE_ID = Path("/etc/machine-id")


def this_process() -> Owner:
    """The owner that records and containers of this process name."""
    pid = os.getpid()
    return Owner(
        pid=pid,
        start_ticks=start_ticks(pid) or 0,
        boot_id=boot_id(),
        user=str(os.getuid()),
        namespace=pid_namespace(),
        machine=machine(),
    )


def this_user(*, own_root: bool = False) -> RunUser:
    """Who the containers of this process are, and who gets what they leave; ``own_root`` as in `run_user`."""
    return run_user(os.getuid(), os.getgid(), os.environ, own_root=own_root)


def boot_id() -> str:
    """Changes with every boot; empty where the kernel does not show it."""
    return text_of(PROC / "sys/kernel/random/boot_id")


def machine() -> str:
    """Names this machine through its boots; empty where it has no id of its own, or wants no name (MLORCH_ANONYMOUS).

    The id alone is not enough: images of virtual machines and containers are copied with theirs.
    """
    number = text_of(MACHINE_ID)
    if os.environ.get("MLORCH_ANONYMOUS") or not re.fullmatch(r"[0-9a-f]{32}", number):
        return ""
    return hashlib.sha256(f"mlorch {number} {os.uname().nodename}".encode()).hexdigest()[:32]


def alive(owner: Owner) -> bool:
    """Whether the process that ``owner`` names may live: it is over only where that is proved.

    The proofs are an earlier boot of this very machine, and what the kernel says of a process in this pid
    namespace. Of another machine or another namespace nothing can be proved from here.
    """
    if owner.boot_id != boot_id():
        return not owner.machine or owner.machine != machine()
    if owner.namespace and owner.namespace != pid_namespace():
        return True
    return runs_here(owner)


def runs_here(owner: Owner) -> bool:
    """Whether the process runs now, in this pid namespace of this boot.

    One of another user may be hidden (/proc mounted with hidepid): the kernel then still says whether there is a
    process of this number, and not whether it is the same one; it is taken for that.
    """
    if owner.boot_id != boot_id() or owner.pid <= 0:
        return False
    if text_of(PROC / f"{owner.pid}/stat"):
        return start_ticks(owner.pid) == owner.start_ticks
    try:
        os.kill(owner.pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def owner_label(owner: Owner) -> str:
    """The owner as a container's label: pid, start ticks, boot id, pid namespace, machine."""
    return f"{owner.pid}:{owner.start_ticks}:{owner.boot_id}:{owner.namespace}:{owner.machine}"


def parse_owner_label(text: str) -> Owner | None:
    """The owner; None for text that is not such a label. Those of older versions name no machine."""
    fields = text.split(":")
    if len(fields) not in {4, 5}:
        return None
    pid, ticks = whole_number(fields[0]), whole_number(fields[1])
    if pid is None or ticks is None:
        return None
    boot, namespace, *machine = fields[2:]
    return Owner(pid=pid, start_ticks=ticks, boot_id=boot, namespace=namespace, machine=machine[0] if machine else "")


def dead_owner(label: str) -> Owner | None:
    """The owner that a label names and that is gone; None while it may live, and for text that is no such label."""
    owner = parse_owner_label(label)
    return None if owner is None or alive(owner) else owner


def pid_namespace() -> str:
    """The number of this process's pid namespace: a pid means nothing in another."""
    return "".join(character for character in link_name(PROC / "self/ns/pid") if character.isdigit())


def start_ticks(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat; the name in field 2 may hold spaces and parentheses. A zombie is dead."""
    text = text_of(PROC / f"{pid}/stat")
    fields = text.rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in {"Z", "X"}:
        return None
    return int(fields[19])
