"""Whether a user may make user namespaces, which containers without root are made of: the kernel itself is asked."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from orchestrator.host.command import run_program
from orchestrator.host.sysfs import text_of

_SYSCTLS = Path("/proc/sys")
_APPTAINER = "or run by hand where apptainer is installed: `mlorch run --dry-run --engine apptainer` prints the line"
# CLONE_NEWUSER | CLONE_NEWNS, then a mount: AppArmor lets the first pass and takes the rights that it should give.
_PROBE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
failed = libc.unshare(0x10020000) or libc.mount(b"none", b"/", None, 0x44000, None)
print(ctypes.get_errno() if failed else 0)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why this user can make no user namespace, and what would help."""

    why: str
    remedy: str


def refused_user_namespaces() -> Refusal | None:
    """Why this process's user may make no user namespace; None where it may, or where nobody could be asked."""
    done = run_program([sys.executable, "-I", "-c", _PROBE], timeout_s=20)
    number = int(done.stdout) if done.stdout.strip().isdigit() else 0
    return explained(number, _SYSCTLS) if number else None


def explained(number: int, sysctls: Path) -> Refusal:
    """The kernel's refusal in words: its error ``number``, and the switches below ``sysctls`` that may cause it."""
    for name, off, on in (
        ("user/max_user_namespaces", "0", "15000"),
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
    ):
        if text_of(sysctls / name) == off:
            key = name.replace("/", ".")
            return Refusal(
                why=f"this host forbids user namespaces ({key} is {off})",
                remedy=f"ask an administrator for `sysctl -w {key}={on}`; {_APPTAINER}",
            )
    if number == errno.ENOSPC:
        return Refusal(
            why="this host allows no more user namespaces",
            remedy=f"ask an administrator for a higher user.max_user_namespaces; {_APPTAINER}",
        )
    return Refusal(
        why=f"this host forbids user namespaces ({os.strerror(number)}): a policy, or a container around this process",
        remedy=f"ask an administrator, or start mlorch outside of that container; {_APPTAINER}",
    )
