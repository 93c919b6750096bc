"""What `podman info` says, as the facts that all engines give."""

from __future__ import annotations

from typing import Any

from orchestrator.engines import EngineFacts
from orchestrator.engines.requirements import numbers

CDI_SINCE = (4, 0)


def facts_of(info: dict[str, Any], program: str, *, private: bool) -> EngineFacts:
    """The facts in `podman info --format json`."""
    host, store, version = info.get("host") or {}, info.get("store") or {}, info.get("version") or {}
    security = host.get("security") or {}
    number = str(version.get("Version", ""))
    words = ["seccomp"] if security.get("seccompEnabled") else []
    words += [name for name in ("apparmor", "selinux") if security.get(f"{name}Enabled")]
    words += ["rootless"] if security.get("rootless") else []
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
        cpus=int(host.get("cpus") or 0),
        memory=int(host.get("memTotal") or 0),
        security=tuple(words),
        builder=f"buildah {host.get('buildahVersion', '')}".strip(),
    )
