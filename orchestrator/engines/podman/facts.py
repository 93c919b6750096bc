"""What `podman info` says, as the facts that all engines give; and whether this podman is new enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.engines.model import EngineFacts, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

CDI_SINCE = (4, 0)
LEAST = (4, 0)
"""The first whose build knows secrets, cache mounts and `--build-context`, and whose run knows CDI."""


def too_old(facts: EngineFacts) -> str:
    """Why mlorch cannot build with this podman; empty where it can."""
    if numbers(facts.version) < LEAST:
        return f"podman {facts.version} is too old: it cannot build; 4.0 or newer is needed"
    return ""


def facts_of(info: Mapping[str, Any], program: str, *, private: bool) -> EngineFacts:
    """The facts in `podman info --format json`."""
    host, store, version = _part(info, "host"), _part(info, "store"), _part(info, "version")
    security = _part(host, "security")
    number = str(version.get("Version", ""))
    return EngineFacts(
        name="podman",
        host=f"exec://{program}",
        version=number,
        api_version=str(version.get("APIVersion", "")),
        platform=f"{host.get('os', 'linux')}/{host.get('arch', '')}",
        buildx=None,
        containerd_store=False,
        cdi=numbers(number) >= CDI_SINCE,
        storage_driver=str(store.get("graphDriverName", "")),
        cgroup_version=str(host.get("cgroupVersion", "")).removeprefix("v"),
        root_dir=str(store.get("graphRoot", "")),
        rootless=bool(security.get("rootless")),
        private=private,
        cpus=int(host.get("cpus", 0)),
        memory=int(host.get("memTotal", 0)),
        security=_security(security),
        builder=f"buildah {host.get('buildahVersion', '')}".strip(),
    )


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = document.get(name) or {}
    return found


def _security(security: Mapping[str, Any]) -> tuple[str, ...]:
    names = [name for name in ("seccomp", "apparmor", "selinux") if security.get(f"{name}Enabled")]
    return (*names, "rootless") if security.get("rootless") else tuple(names)
