"""What this host and its engine have for the devices of targets: gathered for the plan of a run."""

from __future__ import annotations

import platform
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.facts.devices import DeviceInventory, FoundDevice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.definitions.kinds.targets import Target
    from orchestrator.engines import EngineFacts


def device_inventory(
    targets: Iterable[Target], found: Sequence[FoundDevice], engine: EngineFacts | None
) -> DeviceInventory:
    """Everything that `plan_devices` needs to know for ``targets``; ``found`` are the devices of this host.

    Without an engine (a dry run where none answers) CDI specs of the usual folders count as known to it.
    """
    from orchestrator.engines import cdi
    from orchestrator.host.facts import group_ids
    from orchestrator.host.nodes import device_nodes, host_libraries, node_facts

    wanted = [target for target in targets if not target.passthrough.empty]
    if not wanted:
        return DeviceInventory(found=tuple(found), engine=engine.name if engine else "")
    nodes = {node.name: device_nodes(node.name) for target in wanted for node in target.passthrough.nodes}
    specs = cdi.known(engine) if engine else cdi.read_specs(cdi.FOLDERS)
    own = [path for device in found for path in device.nodes]
    own += [path for device in found for part in device.parts for path in part.nodes]
    in_specs = [path for device in specs.devices for path in (*device.nodes, *device.shared)]
    shared = [path for matches in nodes.values() for path in matches]
    machine = platform.machine()
    return DeviceInventory(
        found=tuple(found),
        nodes=nodes,
        facts=node_facts(dict.fromkeys((*own, *in_specs, *shared))),
        groups=group_ids(),
        libraries=host_libraries((lib.name for target in wanted for lib in target.passthrough.libraries), machine),
        cdi=engine.cdi if engine else bool(specs.devices),
        cdi_devices=specs.devices,
        gpus=engine.gpus if engine else False,
        runtimes=engine.runtimes if engine else (),
        engine=engine.name if engine else "",
        machine=machine,
    )


def pretended(inventory: DeviceInventory, target: Target) -> DeviceInventory:
    """``inventory`` as if it had one device of ``target``: a dry run shows what a host that has one would do."""
    given = target.passthrough
    if given.empty or not given.required or any(device.target == target.name for device in inventory.found):
        return inventory
    device = FoundDevice(
        target=target.name,
        index=0,
        product="none here: shown as with one device",
        nodes=tuple(_sample(node.name) for node in given.nodes if node.each),
    )
    return replace(
        inventory,
        found=(*inventory.found, device),
        nodes={
            node.name: inventory.nodes.get(node.name) or (_sample(node.name),) for node in given.nodes if not node.each
        },
        groups={**{group.name: group.name for group in given.groups}, **inventory.groups},
        libraries={**{lib.name: lib.name for lib in given.libraries}, **inventory.libraries},
    )


def _sample(pattern: str) -> str:
    """A node that the pattern could mean: ``/dev/chip[0-9]*`` is ``/dev/chip0``."""
    return re.sub(r"\[[^\]]*\]\*?|\*", "0", pattern)
