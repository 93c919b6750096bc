"""The targets as ``mlorch targets`` shows them: what this host has of each, and what an engine can pass."""

from __future__ import annotations

import platform
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.engines.users import container_user
from orchestrator.errors import MlorchError, UsageError
from orchestrator.facts.devices import DeviceInventory, FoundDevice
from orchestrator.facts.runs import DeviceInjection
from orchestrator.host.detect import Passable, presence
from orchestrator.operations.target_choice import all_targets, findings
from orchestrator.plan.run.devices import plan_devices
from orchestrator.plan.run.devices.methods import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator.definitions.catalog import Entry
    from orchestrator.definitions.kinds.targets import Target
    from orchestrator.engines import EngineFacts
    from orchestrator.facts.devices import CdiDevice
    from orchestrator.host.checks import Finding
    from orchestrator.host.detect import Judge, Presence
    from orchestrator.operations.context import Context


# -- what an engine can pass, and what the plan of a run has to know of devices -------------


def passable_by(engine: EngineFacts | None) -> Judge | None:
    """Says whether ``engine`` can pass a target's devices to containers; None where no engine answered."""
    if engine is None:
        return None

    def say(target: Target, devices: Sequence[FoundDevice]) -> Passable:
        try:
            injection = device_injection(target, devices, engine)
        except MlorchError as error:
            return Passable(ok=False, trouble=error.message, hint=error.hint)
        return Passable(ok=True, how="" if injection.method == "none" else f"{injection.method}: {injection.why}")

    return say


def device_injection(target: Target, devices: Sequence[FoundDevice], engine: EngineFacts | None) -> DeviceInjection:
    """How all devices of the target would be passed to a container here. Raises as `plan_devices`."""
    inventory = device_inventory([target], devices, engine)
    return plan_devices(target, inventory, "", container_user(engine).on_host).device_injection


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


def with_pretended_device(inventory: DeviceInventory, target: Target) -> DeviceInventory:
    """``inventory`` as if it had one device of ``target``: a dry run shows what a host that has one would do."""
    given = target.passthrough
    if given.empty or not given.required or any(device.target == target.name for device in inventory.found):
        return inventory
    folder = LIBRARIES.format(machine=inventory.machine)
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
        libraries={**{lib.name: f"{folder}/{lib.name}" for lib in given.libraries}, **inventory.libraries},
    )


def _sample(pattern: str) -> str:
    """A node that the pattern could mean: ``/dev/chip[0-9]*`` is ``/dev/chip0``."""
    return re.sub(r"\[[^\]]*\]\*?|\*", "0", pattern)


# -- list and show -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetList:
    """Every target, what this host has of it, and the one that a run would take (empty where none is here)."""

    presences: tuple[Presence, ...]
    titles: dict[str, str]
    default: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReport:
    """A target: its recipe, what this host has of it, and how a container would be given its devices."""

    entry: Entry[Target]
    presence: Presence
    findings: tuple[Finding, ...]
    injection: DeviceInjection
    injection_error: str = ""
    """Why the devices cannot be passed here; empty where they can."""

    def document(self) -> dict[str, object]:
        """The JSON of `targets show`; ``passage`` is the name that ``device_injection`` had in mlorch 0.1."""
        injection = {**asdict(self.injection), "error": self.injection_error}
        return {
            **asdict(self.presence),
            "checks": [asdict(finding) for finding in self.findings],
            "path": str(self.entry.path),
            "origin": self.entry.origin,
            "definition": self.entry.definition.model_dump(mode="json", by_alias=True),
            "device_injection": injection,
            "passage": {**injection, "way": self.injection.method},
        }


def list_targets(context: Context) -> TargetList:
    """Every target in its three states, as ``mlorch targets`` shows them."""
    targets = all_targets(context.catalog)
    judged = passable_by(context.try_facts())
    return TargetList(
        presences=tuple(presence(target, context.machine, judged) for target in targets),
        titles={target.name: target.title for target in targets},
        default=_default(context),
    )


def _default(context: Context) -> str:
    try:
        return context.target(None).name
    except UsageError as error:
        if error.slug != "no-target":
            raise
        return ""


def show_target(context: Context, name: str) -> TargetReport:
    """One target. Raises `UsageError` for a name that does not exist."""
    entry = context.catalog.target(name)
    target, engine = entry.definition, context.try_facts()
    here = presence(target, context.machine, passable_by(engine))
    injection, error_message = DeviceInjection(), ""
    try:
        injection = device_injection(target, here.devices, engine)
    except MlorchError as error:
        error_message = error.message
    return TargetReport(
        entry=entry,
        presence=here,
        findings=findings(context, target),
        injection=injection,
        injection_error=error_message,
    )
