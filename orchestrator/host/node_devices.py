"""Devices by their nodes alone, for a target whose recipe has no other rule to find them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.facts.devices import FoundDevice
from orchestrator.host.nodes import device_nodes
from orchestrator.host.pci import natural_order

if TYPE_CHECKING:
    from orchestrator.definitions.kinds.targets import Target


def devices_by_nodes(target: Target, root: Path = Path("/")) -> tuple[FoundDevice, ...]:
    """The devices that the target's own nodes show: the first has the first node of each pattern, and so on."""
    patterns = [node.name for node in target.passthrough.nodes if node.each]
    matches = [sorted(device_nodes(pattern, root), key=natural_order) for pattern in patterns]
    count = max(map(len, matches), default=0)
    return tuple(
        FoundDevice(
            target=target.name,
            index=index,
            nodes=tuple(nodes[index] for nodes in matches if index < len(nodes)),
        )
        for index in range(count)
    )
