"""What a Docker daemon says of itself, as the facts that all engines give; and whether mlorch can build with it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from orchestrator.engines.model import EngineFacts, older
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LEAST_API = (1, 42)
"""Docker 23: the first whose own Dockerfile frontend knows heredocs, `COPY --link` and `ADD --checksum`."""
LEAST_BUILDX = (0, 10)
"""The first that knows `--provenance`; what it says of its progress is read either way."""
_LIMITS = {"CPUSet": "processors", "MemoryLimit": "memory", "PidsLimit": "processes"}
"""What `/info` calls the limits that it can set."""
_HOOK = "nvidia-container-runtime-hook"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def facts_of(
    info: Mapping[str, Any], version: Mapping[str, Any], host: str, buildx: str | None, *, private: bool
) -> EngineFacts:
    """The facts in the answers to `/info` and `/version` of the daemon at ``host``."""
    _require_docker(version, host)
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
        userns_remap="name=userns" in security,
        unlimited=tuple(word for name, word in _LIMITS.items() if info.get(name) is False),
        private=private,
        cpus=int(info.get("NCPU", 0)),
        memory=int(info.get("MemTotal", 0)),
        security=security,
    )


def _require_docker(version: Mapping[str, Any], host: str) -> None:
    """podman speaks enough of Docker's interface to be taken for it, and not enough to build with buildx."""
    names = [str(each.get("Name", "")) for each in version.get("Components") or ()]
    if any(name.startswith("Podman") for name in names):
        raise EngineError(
            f"podman answers at {host}, and its socket cannot do all that Docker's does",
            hint="take podman itself: `--engine podman`, or `engine: podman` in mlorch.yaml",
            slug="podman-socket",
        )


def _list(info: Mapping[str, Any], name: str) -> list[Any]:
    """A list, or the keys of an object; the daemon writes null for an empty one."""
    return list(info.get(name) or ())


def takes_gpus(host: str, runtimes: Iterable[str]) -> bool:
    """Whether `--gpus` works: the engine looks for the toolkit's hook in its path when it starts.

    Of an engine on another host only the runtimes are known.
    """
    if not host.startswith("unix://"):
        return "nvidia" in runtimes
    return shutil.which(_HOOK, path=_PATH) is not None


def too_old(facts: EngineFacts) -> str:
    """Why the daemon itself cannot build mlorch's layers; empty where it can."""
    if older(facts.api_version, LEAST_API):
        return f"engine {facts.version} (API {facts.api_version}) is too old to build with; it takes Docker 23 or newer"
    return ""


def unmet_requirement(facts: EngineFacts) -> str:
    """Why mlorch cannot build with this engine and its client; empty where it can."""
    if why := too_old(facts):
        return why
    if facts.buildx is None:
        return "the docker client has no buildx plugin"
    if older(facts.buildx, LEAST_BUILDX):
        return f"buildx {facts.buildx} is too old; it takes 0.10 or newer"
    return ""
