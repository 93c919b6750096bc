"""Devices by CDI names: which CDI device is which device of the host. Pure.

A name such as ``0`` counts in the order of whoever wrote the spec, which need not be the kernel's. So a
CDI device that brings a node of another device is never taken for this one, whatever its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.plan.run.devices.methods import Injection, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.facts.devices import CdiDevice, FoundDevice, Unit
    from orchestrator.plan.run.devices.methods import Answer, Wanted

ALL = "all"
"""The name by which a spec gives every device of its kind."""


def by_cdi(wanted: Wanted) -> Answer:
    """Every chosen device by a CDI name, or ``all`` where the devices have no names of their own."""
    kind, inventory = wanted.passthrough.cdi, wanted.inventory
    if kind is None:
        return None
    if not inventory.cdi:
        return Unavailable("the engine does not take CDI names")
    known = [device for device in inventory.cdi_devices if device.kind == kind]
    if not known:
        return Unavailable(f"no CDI spec that the engine reads names a device of {kind}")
    injection = _by_names(wanted, known) or _by_all(wanted, known)
    if injection is not None:
        return injection
    labels = [unit.label for unit in wanted.units if match_unit(unit, known, inventory.found) is None]
    return Unavailable(f"no CDI spec names device {', '.join(labels) or 'any'} of {kind}")


def _by_names(wanted: Wanted, known: Sequence[CdiDevice]) -> Injection | None:
    """A CDI device for each chosen unit; None where one has none, or nothing was chosen."""
    matched: list[CdiDevice] = []
    for unit in wanted.units:
        device = match_unit(unit, known, wanted.inventory.found)
        if device is None:
            return None
        matched.append(device)
    if not matched:
        return None
    return _injection(matched, [device.name for device in matched], isolates=True)


def _by_all(wanted: Wanted, known: Sequence[CdiDevice]) -> Injection | None:
    """The spec's name for all of its devices, where all are wanted."""
    every = [device for device in known if device.short == ALL]
    if not every or not wanted.choice.whole:
        return None
    return _injection(every, [every[0].name] * len(wanted.units), isolates=False)


def _injection(devices: Sequence[CdiDevice], names: Sequence[str], *, isolates: bool) -> Injection:
    asked = tuple(dict.fromkeys(device.name for device in devices))
    specs = ", ".join(dict.fromkeys(device.spec for device in devices if device.spec)) or "the engine's own list"
    nodes = tuple(dict.fromkeys(node for device in devices for node in (*device.nodes, *device.shared)))
    return Injection(
        why=f"the engine takes CDI names, and {specs} has {', '.join(asked)}",
        names=tuple(names),
        isolates=isolates,
        touched=nodes or None,
        cdi=asked,
    )


def match_unit(unit: Unit, known: Iterable[CdiDevice], found: Iterable[FoundDevice]) -> CdiDevice | None:
    """The CDI device that is this unit: one with its name that its nodes do not contradict, else one by its nodes."""
    others = {node for device in found for node in device.nodes} - set(unit.device.nodes)
    possible = [device for device in known if device.short != ALL and not others & set(device.nodes)]
    named = _match_by_name(unit, possible)
    return named if named is not None else _match_by_nodes(unit, possible)


def _match_by_name(unit: Unit, possible: Sequence[CdiDevice]) -> CdiDevice | None:
    pci = "" if unit.part else unit.device.pci
    for name in (unit.uuid, unit.label, pci):
        for device in possible:
            if name and _has_name(device, name, pci) and not _contradicts(device, unit):
                return device
    return None


def _match_by_nodes(unit: Unit, possible: Sequence[CdiDevice]) -> CdiDevice | None:
    own = _own_nodes(unit)
    for device in possible:
        if own and own <= set(device.nodes):
            return device
    return None


def _has_name(device: CdiDevice, name: str, pci: str) -> bool:
    """Whether a CDI device is called ``name``, or begins with the PCI address as some vendors' names do."""
    short = device.short.lower()
    return short == name.lower() or (pci != "" and short.startswith(f"{pci}-"))


def _contradicts(device: CdiDevice, unit: Unit) -> bool:
    """Whether a CDI device has other nodes than the unit; not where the nodes of one are not known."""
    own, given = _own_nodes(unit), set(device.nodes)
    if not own or not given:
        return False
    # Parts of one device share nodes, so all of a part's must be there; of a device one will do.
    return not own <= given if unit.part else not own & given


def _own_nodes(unit: Unit) -> set[str]:
    return set(unit.part.nodes if unit.part else unit.device.nodes)
