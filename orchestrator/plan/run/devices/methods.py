"""The methods by which a container can get devices: `--gpus`, a vendor's OCI runtime, plain nodes. Pure.

Each gives an `Injection`, or says why it cannot be used here (`Unavailable`), or is None where the
target's recipe does not have it. CDI, which needs the most care, is in `cdi`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.facts.containers import Mount
from orchestrator.plan.run.devices.rights import require_character

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.definitions.kinds.targets import By, DeviceNode, Passthrough
    from orchestrator.facts.devices import DeviceInventory, Unit
    from orchestrator.plan.run.devices.choice import Choice

LIBRARIES = "/usr/lib/{machine}-linux-gnu"
"""Where libraries of the host's driver are laid over an image: its loader looks there anyway."""


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


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why a method that the target has cannot be used here."""

    reason: str


Answer = Injection | Unavailable | None


def shared_only(passthrough: Passthrough) -> bool:
    """Whether the target's nodes are all shared ones that a host must have, as on boards with one built-in device."""
    nodes = passthrough.nodes
    return any(not node.optional for node in nodes) and not any(node.each for node in nodes)


def by_gpus(wanted: Wanted) -> Answer:
    """The engine's own `--gpus`."""
    if not wanted.passthrough.gpus:
        return None
    if not wanted.inventory.gpus:
        return Unavailable("the engine cannot do --gpus: it has no hook of the vendor (the NVIDIA container toolkit)")
    if not wanted.has_devices:
        return Unavailable("no device was found")
    names = tuple(unit.uuid or unit.label for unit in wanted.units)
    asked = ("all",) if _all_by_word(wanted, "uuid") else names
    return Injection(why="the engine has the vendor's hook for --gpus", names=names, gpus=asked)


def by_runtime(wanted: Wanted) -> Answer:
    """The vendor's OCI runtime, which reads a variable."""
    runtime = wanted.passthrough.runtime
    if runtime is None:
        return None
    if runtime.name not in wanted.inventory.runtimes:
        return Unavailable(f"the engine has no OCI runtime `{runtime.name}`")
    if not wanted.has_devices:
        return Unavailable("no device was found")
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


def by_nodes(wanted: Wanted) -> Answer:
    """Plain device nodes, and the libraries of the host's driver."""
    if not wanted.passthrough.nodes:
        return None
    nodes: list[str] = []
    for node in wanted.passthrough.nodes:
        found = _nodes_of(wanted, node)
        if isinstance(found, Unavailable):
            return found
        nodes += found
    libraries = _libraries(wanted)
    if isinstance(libraries, Unavailable):
        return libraries
    for path in nodes:
        require_character(path, wanted.inventory.facts)
    passed = tuple(dict.fromkeys(nodes))
    own = [own_nodes(wanted.passthrough, unit) for unit in wanted.units]
    return Injection(
        why=f"plain device nodes: {', '.join(passed) or 'none'}",
        names=tuple(",".join(paths) for paths in own),
        isolates=bool(own) and all(own),
        touched=passed,
        nodes=passed,
        mounts=libraries,
    )


def _nodes_of(wanted: Wanted, node: DeviceNode) -> Sequence[str] | Unavailable:
    """The host's nodes that a node of the recipe stands for; of ``each`` device those of the chosen ones."""
    found = [] if node.each else list(wanted.inventory.nodes.get(node.name, ()))
    for unit in wanted.units if node.each else ():
        own = [path for path in unit.nodes if PurePosixPath(path).match(node.name)]
        if not own and not node.optional:
            return Unavailable(f"device {unit.label} has no node {node.name} ({node.reason})")
        found += own
    if not found and not node.optional:
        return Unavailable(f"this host has no {node.name} ({node.reason})")
    return found


def own_nodes(passthrough: Passthrough, unit: Unit) -> list[str]:
    """The nodes of a device that the recipe passes for each."""
    patterns = [node.name for node in passthrough.nodes if node.each]
    return [path for path in unit.nodes if any(PurePosixPath(path).match(pattern) for pattern in patterns)]


def _libraries(wanted: Wanted) -> tuple[Mount, ...] | Unavailable:
    folder = LIBRARIES.format(machine=wanted.inventory.machine)
    mounts = []
    for library in wanted.passthrough.libraries:
        source = wanted.inventory.libraries.get(library.name)
        if source is not None:
            mounts.append(Mount(source=source, target=f"{folder}/{library.name}"))
        elif not library.optional:
            return Unavailable(f"this host has no {library.name} ({library.reason})")
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
