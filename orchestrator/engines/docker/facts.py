"""What a Docker daemon says of itself, as the facts that all engines give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.engines.devices import takes_gpus
from orchestrator.engines.model import EngineFacts

if TYPE_CHECKING:
    from collections.abc import Mapping


def facts_of(
    info: Mapping[str, Any], version: Mapping[str, Any], host: str, buildx: str | None, *, private: bool
) -> EngineFacts:
    """The facts in the answers to `/info` and `/version` of the daemon at ``host``."""
    status = dict(pair for pair in _list(info, "DriverStatus") if len(pair) == 2)
    runtimes, security = _list(info, "Runtimes"), tuple(_list(info, "SecurityOptions"))
    return EngineFacts(
        name="docker",
        host=host,
        version=str(version.get("Version", "")),
        api_version=str(version.get("ApiVersion", "")),
        platform=f"{version.get('Os', 'linux')}/{version.get('Arch', '')}",
        buildx=buildx,
        containerd_store=status.get("driver-type") == "io.containerd.snapshotter.v1",
        cdi=bool(info.get("CDISpecDirs")),
        cdi_devices=tuple(str(device.get("ID")) for device in _list(info, "DiscoveredDevices")),
        cdi_folders=tuple(_list(info, "CDISpecDirs")),
        gpus=takes_gpus(host, runtimes),
        runtimes=tuple(sorted(runtimes)),
        storage_driver=str(info.get("Driver", "")),
        cgroup_version=str(info.get("CgroupVersion", "")),
        root_dir=str(info.get("DockerRootDir", "")),
        rootless=any("rootless" in option for option in security),
        private=private,
        cpus=int(info.get("NCPU", 0)),
        memory=int(info.get("MemTotal", 0)),
        security=security,
    )


def _list(info: Mapping[str, Any], name: str) -> list[Any]:
    """A list, or the keys of an object; the daemon writes null for an empty one."""
    return list(info.get(name) or ())
