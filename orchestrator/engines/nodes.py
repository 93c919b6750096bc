"""What a container is to be given, right before its start: still there, and not in the hands of another program."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.refusals import missing_mount
from orchestrator.errors import HostLimitError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.facts.containers import ContainerSpec

_PROC = Path("/proc")


def require_inputs(spec: ContainerSpec) -> None:
    """Raise `UsageError` (`missing-mount`) for a mount's source that is not there, and as `require_nodes`."""
    for mount in spec.mounts:
        if not Path(mount.source).exists():
            raise missing_mount(f"{mount.source} is to be mounted at {mount.target}, but it is not there")
    require_nodes(spec)


def require_nodes(spec: ContainerSpec) -> None:
    """Raise `HostLimitError` for a node that is gone since the plan (`device-gone`) or in use (`device-busy`).

    A node that only one program can open is opened and closed again; where this process
    may not open it, the container's own attempt must tell.
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
