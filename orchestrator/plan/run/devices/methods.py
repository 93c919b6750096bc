"""The methods by which a container can get devices: CDI, `--gpus`, a vendor's OCI runtime, plain nodes. Pure.

Each gives an `Injection`, or None where the target's recipe does not have it; it raises `Unavailable` where it
cannot be used here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.facts.containers import Mount
from orchestrator.plan.run.devices.nodes import require_of_a_device

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.definitions.kinds.targets import By, DeviceNode, Passthrough
    from orchestrator.facts.devices import CdiDevice, DeviceInventory, FoundDevice, Unit
    from orchestrator.plan.run.devices.choice import Choice

LIBRARIES = "/usr/lib/{machine}-linux-gnu"
"""Where libraries of the host's driver are laid over an image: its loader looks there anyway."""

ALL = "all"
"""The CDI name by which a spec gives every device of its kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a run asks for: what its target may pass, what the host has, and the devices that were chosen."""

    passthrough: Passthrough
    inventory: DeviceInventory
    choice: Choice

    @property
    def units(self) -> tuple[Unit, ...]:
        return self.choice.units

    @property
    def has_devices(self) -> bool:
        """Whether there is something to pass: a chosen device, or a board's one built-in device."""
        return bool(self.units) or shared_only(self.passthrough)


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """What one method gives; the fields up to ``mounts`` as in `ContainerSpec`.

    ``names`` has, for each chosen unit, what the engine is asked for. ``isolates``: only the chosen devices are
    seen inside, so they count from 0 there. ``touched`` are the host's nodes that go in; None where only the
    engine knows them.
    """

    why: str
    names: tuple[str, ...] = ()
    isolates: bool = True
    touched: tuple[str, ...] | None = None
    nodes: tuple[str, ...] = ()
    cdi: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    runtime: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()


class Unavailable(Exception):
    """Why a method that the target has cannot be used here."""


def shared_only(passthrough: Passthrough) -> bool:
    """Whether the target's nodes are all shared ones that a host must have, as on boards with one built-in device."""
    nodes = passthrough.nodes
    return any(not node.optional for node in nodes) and not any(node.each for node in nodes)


def by_gpus(wanted: Wanted) -> Injection | None:
    """The engine's own `--gpus`."""
    if not wanted.passthrough.gpus:
        return None
    if not wanted.inventory.gpus:
        raise Unavailable("the engine cannot do --gpus: it has no hook of the vendor (the NVIDIA container toolkit)")
    if not wanted.has_devices:
        raise Unavailable("no device was found")
    names = tuple(unit.uuid or unit.label for unit in wanted.units)
    asked = ("all",) if _all_by_word(wanted, "uuid") else names
    return Injection(why="the engine has the vendor's hook for --gpus", names=names, gpus=asked)


def by_runtime(wanted: Wanted) -> Injection | None:
    """The vendor's OCI runtime, which reads a variable."""
    runtime = wanted.passthrough.runtime
    if runtime is None:
        return None
    if runtime.name not in wanted.inventory.runtimes:
        raise Unavailable(f"the engine has no OCI runtime `{runtime.name}`")
    if not wanted.has_devices:
        raise Unavailable("no device was found")
    listed = units_named(runtime.by, wanted.units, isolates=False)
    asked = "all" if _all_by_word(wanted, runtime.by) else listed
    return Injection(
        why=f"the engine has the OCI runtime `{runtime.name}`",
        names=tuple(units_named(runtime.by, (unit,), isolates=False) for unit in wanted.units),
        runtime=runtime.name,
        env={runtime.env: asked},
    )


def _all_by_word(wanted: Wanted, by: By) -> bool:
    """Whether the vendor's word ``all`` is used: it may mean more than the target's devices (a card for a display).

    So devices that have a UUID are always named by it where that is possible.
    """
    if not wanted.choice.whole:
        return False
    all_have_uuids = bool(wanted.units) and all(unit.uuid for unit in wanted.units)
    return not (by == "uuid" and all_have_uuids)


def by_nodes(wanted: Wanted) -> Injection | None:
    """Plain device nodes, and the libraries of the host's driver."""
    if not wanted.passthrough.nodes:
        return None
    passed = tuple(dict.fromkeys(path for node in wanted.passthrough.nodes for path in _nodes_of(wanted, node)))
    libraries = _libraries(wanted)
    for path in passed:
        require_of_a_device(path, wanted.inventory.facts)
    own = [own_nodes(wanted.passthrough, unit) for unit in wanted.units]
    return Injection(
        why=f"plain device nodes: {', '.join(passed) or 'none'}",
        names=tuple(",".join(paths) for paths in own),
        isolates=bool(own) and all(own),
        touched=passed,
        nodes=passed,
        mounts=libraries,
    )


def _nodes_of(wanted: Wanted, node: DeviceNode) -> Sequence[str]:
    """The host's nodes that a node of the recipe stands for; of ``each`` device those of the chosen ones."""
    found = [] if node.each else list(wanted.inventory.nodes.get(node.name, ()))
    for unit in wanted.units if node.each else ():
        own = [path for path in unit.nodes if PurePosixPath(path).match(node.name)]
        if not own and not node.optional:
            raise Unavailable(f"device {unit.label} has no node {node.name} ({node.reason})")
        found += own
    if not found and not node.optional:
        raise Unavailable(f"this host has no {node.name} ({node.reason})")
    return found


def own_nodes(passthrough: Passthrough, unit: Unit) -> list[str]:
    """The nodes of a device that the recipe passes for each."""
    patterns = [node.name for node in passthrough.nodes if node.each]
    return [path for path in unit.nodes if any(PurePosixPath(path).match(pattern) for pattern in patterns)]


def _libraries(wanted: Wanted) -> tuple[Mount, ...]:
    folder = LIBRARIES.format(machine=wanted.inventory.machine)
    mounts = []
    for library in wanted.passthrough.libraries:
        source = wanted.inventory.libraries.get(library.name)
        if source is not None:
            mounts.append(Mount(source=source, target=f"{folder}/{library.name}"))
        elif not library.optional:
            raise Unavailable(f"this host has no {library.name} ({library.reason})")
    return tuple(mounts)


def units_named(by: By, units: Sequence[Unit], *, isolates: bool) -> str:
    """The units as a variable lists them; ``isolates``: inside they count from 0, whatever they are on the host."""
    labels = [unit.label for unit in units]
    uuids = [unit.uuid for unit in units]
    addresses = [unit.device.pci for unit in units]
    if by == "host-index":
        return ",".join(labels)
    if by == "uuid" and all(uuids):
        return ",".join(uuids)
    if by == "pci" and all(addresses):
        return ",".join(dict.fromkeys(addresses))
    return ",".join(str(number) for number in range(len(units))) if isolates else ",".join(labels)


# -- CDI ---------------------------------------------------------------------------------
# A name such as ``0`` counts in the order of whoever wrote the spec, which need not be the kernel's. So a
# CDI device that brings a node of another device is never taken for this one, whatever its name.


def by_cdi(wanted: Wanted) -> Injection | None:
    """Every chosen device by a CDI name, or ``all`` where the devices have no names of their own."""
    kind, inventory = wanted.passthrough.cdi, wanted.inventory
    if kind is None:
        return None
    if not inventory.cdi:
        raise Unavailable("the engine does not take CDI names")
    known = [device for device in inventory.cdi_devices if device.kind == kind]
    if not known:
        raise Unavailable(f"no CDI spec that the engine reads names a device of {kind}")
    injection = _by_names(wanted, known) or _by_all(wanted, known)
    if injection is not None:
        return injection
    labels = [unit.label for unit in wanted.units if match_unit(unit, known, inventory.found) is None]
    raise Unavailable(f"no CDI spec names device {', '.join(labels) or 'any'} of {kind}")


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
    if named is not None:
        return named
    own = _own_nodes(unit)
    return next((device for device in possible if own and own <= set(device.nodes)), None)


def _match_by_name(unit: Unit, possible: Sequence[CdiDevice]) -> CdiDevice | None:
    pci = "" if unit.part else unit.device.pci
    for name in (unit.uuid, unit.label, pci):
        for device in possible:
            if name and _has_name(device, name, pci) and not _contradicts(device, unit):
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
