"""What this host and its engine have for the devices of targets: gathered for the plan of a run."""

from __future__ import annotations

import platform
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.facts.devices import DeviceInventory, FoundDevice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator.definitions.kinds.targets import Target
    from orchestrator.engines import EngineFacts
    from orchestrator.facts.devices import CdiDevice


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
    libraries = [library.name for target in wanted for library in target.passthrough.libraries]
    specs = cdi.known(engine) if engine else cdi.read_specs(cdi.FOLDERS)
    machine = platform.machine()
    inventory = DeviceInventory(
        found=tuple(found),
        nodes=nodes,
        facts=node_facts(dict.fromkeys(_node_paths(found, specs.devices, nodes))),
        groups=group_ids(),
        libraries=host_libraries(libraries, machine),
        cdi=bool(specs.devices),
        cdi_devices=specs.devices,
        machine=machine,
    )
    if engine is None:
        return inventory
    return replace(inventory, cdi=engine.cdi, gpus=engine.gpus, runtimes=engine.runtimes, engine=engine.name)


def _node_paths(
    found: Sequence[FoundDevice], cdi_devices: Sequence[CdiDevice], nodes: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    """Every node that may be passed: of the devices and their parts, of CDI specs, and those of the recipes."""
    for device in found:
        yield from device.nodes
        for part in device.parts:
            yield from part.nodes
    for spec in cdi_devices:
        yield from (*spec.nodes, *spec.shared)
    for paths in nodes.values():
        yield from paths


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
