"""Device nodes, host libraries and, until a better way looks, devices by their nodes alone."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from orchestrator.model.devices import FoundDevice, Node
from orchestrator.system.host import device_nodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.model.targets import Target

_KINDS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFDIR: "d", stat.S_IFREG: "-"}
_LIBRARIES = (
    "usr/lib/{machine}-linux-gnu", "usr/lib64", "usr/lib", "lib/{machine}-linux-gnu", "lib64",
    "usr/lib/{machine}-linux-gnu/nvidia/current", "usr/lib/wsl/lib", "run/opengl-driver/lib",
)  # fmt: skip


def node_facts(paths: Iterable[str], root: Path = Path("/")) -> dict[str, Node]:
    """What the host says of each node that is there, links followed."""
    import os

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
        )
    return facts


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


def devices_by_nodes(target: Target, root: Path = Path("/")) -> tuple[FoundDevice, ...]:
    """The devices that the target's own nodes show: the first has the first node of each pattern, and so on."""
    patterns = [node.name for node in target.passthrough.nodes if node.each]
    matches = [sorted(device_nodes(pattern, root), key=_natural) for pattern in patterns]
    count = max(map(len, matches), default=0)
    return tuple(
        FoundDevice(
            target=target.name,
            index=index,
            nodes=tuple(nodes[index] for nodes in matches if index < len(nodes)),
        )
        for index in range(count)
    )


def _natural(path: str) -> list[tuple[int, str]]:
    """``renderD9`` before ``renderD128``."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path)]
