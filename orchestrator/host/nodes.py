"""Device nodes and shared libraries of the host."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.facts.devices import Node
from orchestrator.host.sysfs import link_name, matches

if TYPE_CHECKING:
    from collections.abc import Iterable

_KINDS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFDIR: "d", stat.S_IFREG: "-"}
_LIBRARIES = (
    "usr/lib/{machine}-linux-gnu", "usr/lib64", "usr/lib", "lib/{machine}-linux-gnu", "lib64",
    "usr/lib/{machine}-linux-gnu/nvidia/current", "usr/lib/wsl/lib", "run/opengl-driver/lib",
)  # fmt: skip


def device_nodes(pattern: str, root: Path = Path("/")) -> tuple[str, ...]:
    """The device nodes that a target's device (a path, maybe with a glob) names on this machine."""
    if not pattern.startswith("/"):
        return ()
    return tuple(f"/{path.relative_to(root)}" for path in matches(pattern, root))


def node_facts(paths: Iterable[str], root: Path = Path("/")) -> dict[str, Node]:
    """Kind, owner, group and mode of each node that exists, links followed."""
    facts = {}
    for path in paths:
        try:
            found = (root / path.lstrip("/")).stat()
        except OSError:
            continue
        facts[path] = Node(
            path=path,
            kind=_KINDS.get(stat.S_IFMT(found.st_mode), "?"),
            uid=found.st_uid,
            gid=found.st_gid,
            mode=stat.S_IMODE(found.st_mode),
            major=os.major(found.st_rdev),
            minor=os.minor(found.st_rdev),
            **_words_of_the_kernel(found, root),
        )
    return facts


def _words_of_the_kernel(found: os.stat_result, root: Path) -> dict[str, str]:
    """Subsystem, driver and name of a character device; empty where /sys does not know it."""
    if not stat.S_ISCHR(found.st_mode):
        return {}
    folder = root / f"sys/dev/char/{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    return {
        "subsystem": link_name(folder / "subsystem"),
        "driver": link_name(folder / "device/driver"),
        "name": link_name(folder),
    }


def host_libraries(names: Iterable[str], machine: str, root: Path = Path("/")) -> dict[str, str]:
    """The real files of shared libraries of the host, where its loader would find them."""
    found = {}
    for name in names:
        for folder in _LIBRARIES:
            path = root / folder.format(machine=machine) / name
            if path.is_file():
                found[name] = str(path.resolve())
                break
    return found
