"""Which targets this host has: from what their recipes name, with the reason of every answer."""

from __future__ import annotations

import glob
import platform
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.model.definitions import Target

_PLATFORMS = {"x86_64": "linux/amd64", "amd64": "linux/amd64", "aarch64": "linux/arm64", "arm64": "linux/arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Whether a target can be used here; None where nothing has looked yet."""

    name: str
    present: bool
    driver_ok: bool | None
    container_ok: bool | None
    devices: tuple[str, ...]
    why: str


def presence(target: Target, machine: str | None = None) -> Presence:
    """What can be told of a target without an engine; ``machine`` is what uname calls this one."""
    machine = machine or platform.machine()
    mine = _PLATFORMS.get(machine, machine)
    devices = tuple(path for node in target.passthrough.nodes for path in sorted(glob.glob(node.name)))  # noqa: PTH207
    detect = target.detect
    # Paths of devices and drivers may be globs such as /dev/nvidia[0-9]*; all that are named must match.
    lacking = [path for path in detect.paths if not glob.glob(path)]  # noqa: PTH207
    if mine not in target.platforms:
        why = f"this host is {mine}; the target has images for {', '.join(target.platforms)}"
    elif detect.always:
        why = "needs no device"
        return Presence(name=target.name, present=True, driver_ok=True, container_ok=True, devices=devices, why=why)
    elif detect.machine and machine not in detect.machine:
        why = f"this host is {machine}; the target needs {' or '.join(detect.machine)}"
    elif lacking:
        why = f"not here: {', '.join(lacking)}"
    elif not detect.paths and not detect.machine:
        why = "its recipe does not say how to detect it"
    else:
        why = f"found {', '.join(detect.paths)}" if detect.paths else f"this host is {machine}"
        return Presence(name=target.name, present=True, driver_ok=None, container_ok=None, devices=devices, why=why)
    return Presence(name=target.name, present=False, driver_ok=None, container_ok=None, devices=devices, why=why)


def best(targets: Iterable[Target], machine: str | None = None) -> Target | None:
    """The present target of the highest priority, the first by name among equals."""
    present = [target for target in targets if presence(target, machine).present]
    return min(present, key=lambda target: (-target.priority, target.name), default=None)
