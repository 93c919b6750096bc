"""What the container is, seen from inside: for harness.json, so that a reader can check the run contract."""

from __future__ import annotations

import os
import platform
import resource
import socket
from importlib import metadata
from pathlib import Path

from .backends import FRAMEWORKS

PACKAGES = ("numpy", *(name for one in FRAMEWORKS.values() for name in one.packages), "mlcommons-loadgen")
LIMITS = ("nofile", "nproc", "memlock", "stack", "core")


def container() -> dict[str, object]:
    """Facts of this process and its root file system; a limit of -1 is unlimited."""
    status = _status()
    # The bounding set has what the process could ever gain, the effective set what it has.
    capabilities = int(status.get("CapBnd", "0"), 16) | int(status.get("CapEff", "0"), 16)
    return {
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "uid": os.getuid(),
        "gid": os.getgid(),
        "cpus": sorted(os.sched_getaffinity(0)),
        "capabilities": f"{capabilities:016x}",
        "no_new_privileges": status.get("NoNewPrivs") == "1",
        "root_read_only": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
        "interfaces": sorted(name for _, name in socket.if_nameindex()),
        "limits": {name: list(resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))) for name in LIMITS},
    }


def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
