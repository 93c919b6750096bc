"""Devices by their nodes alone, for a target whose recipe knows no better sign of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.facts.devices import FoundDevice
from orchestrator.host.facts import device_nodes

if TYPE_CHECKING:
    from orchestrator.definitions.kinds.targets import Target


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
