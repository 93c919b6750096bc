"""A container that runs, read from its inspection, which podman writes as Docker does but for some names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.facts.containers import Deployed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def deployed(found: Mapping[str, Any]) -> Deployed | None:
    """The facts of an inspection; None for a container that does not run."""
    if not (found.get("State") or {}).get("Running"):
        return None
    config, host = found.get("Config") or {}, found.get("HostConfig") or {}
    return Deployed(
        image_id="sha256:" + str(found.get("Image", "")).removeprefix("sha256:"),
        command=tuple(str(word) for word in config.get("Cmd") or ()),
        user=str(config.get("User", "")),
        network=str(host.get("NetworkMode", "")),
        read_only=bool(host.get("ReadonlyRootfs")),
        privileged=bool(host.get("Privileged")),
        env=tuple(sorted(str(pair).partition("=")[0] for pair in config.get("Env") or ())),
        mounts=_mounts(found.get("Mounts") or ()),
        capabilities=_capabilities(host.get("CapAdd")),
        dropped=_capabilities(host.get("CapDrop")),
        devices=tuple(str(device.get("PathInContainer", "")) for device in host.get("Devices") or ()),
        cpus=str(host.get("CpusetCpus", "")),
        memory=int(host.get("Memory") or 0),
        pids=int(host.get("PidsLimit") or 0),
    )


def _mounts(found: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """Whether each folder or file of the host is read-only, by its place in the container."""
    bound = [mount for mount in found if mount.get("Type") == "bind"]
    return {str(mount.get("Destination", "")): not mount.get("RW", True) for mount in bound}


def _capabilities(names: Iterable[str] | None) -> tuple[str, ...]:
    """As `--cap-add` takes them, without their prefix."""
    return tuple(sorted(str(name).upper().removeprefix("CAP_") for name in names or ()))
