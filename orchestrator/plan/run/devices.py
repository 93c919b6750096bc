"""How a container gets the devices that were chosen: the first way that the target, the engine and the host share.

In order: CDI names, the engine's `--gpus`, the vendor's OCI runtime, plain device nodes. Pure: what the
host and its engine have is an argument (`DeviceInventory`). docs/devices.md says why this order, and what
each grant means.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.errors import HostLimitError
from orchestrator.facts.steps import DeviceInjection, InjectedDevice, Mount
from orchestrator.plan.run.device_choice import choose, require_found, with_uuids
from orchestrator.plan.run.device_rights import groups_for, require_character

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchestrator.definitions.kinds.passthrough import By, DeviceNode, Passthrough
    from orchestrator.definitions.kinds.targets import Target
    from orchestrator.facts.devices import CdiDevice, DeviceInventory, Unit
    from orchestrator.plan.run.device_choice import Choice

LIBRARIES = "/usr/lib/{machine}-linux-gnu"
"""Where libraries of the host's driver are laid over an image: the loader looks there without being told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What a container is given of the host's devices; the fields as in `ContainerSpec`.

    ``near`` are the memory nodes of the devices, empty where nothing is known of one.
    """

    nodes: tuple[str, ...] = ()
    cdi: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    runtime: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    expects: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    near: tuple[int, ...] = ()
    device_injection: DeviceInjection = field(default_factory=DeviceInjection)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    given: Passthrough
    inventory: DeviceInventory
    choice: Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class _Injection:
    """What one way gives. ``isolates``: only the chosen devices are seen inside, so they count from 0 there."""

    why: str
    names: tuple[str, ...] = ()
    isolates: bool = True
    devices: Devices = field(default_factory=Devices)
    touched: tuple[str, ...] | None = None
    """The host's nodes that go in; None where only the engine knows."""


def plan_devices(target: Target, inventory: DeviceInventory, selection: str, user: str) -> Devices:
    """The devices of one container of ``target``.

    ``selection`` is `--devices`, ``user`` is ``uid:gid``. Raises `UsageError` for a choice that cannot be made,
    `HostLimitError` where a device is missing (`device-missing`), no way leads to it (`no-device-way`), or
    the user cannot open it (`group-missing`, `device-rights`).
    """
    given = target.passthrough
    specs = [device for device in inventory.cdi_devices if device.kind == given.cdi]
    inventory = replace(inventory, found=with_uuids(inventory.found, specs))
    choice = choose(selection, inventory.found, target.name, required=given.required, possible=not given.empty)
    if given.empty or (not choice.units and not given.required and not _shared_only(given)):
        return Devices()
    ask = _Ask(given=given, inventory=inventory, choice=choice)
    passed_over: list[str] = []
    for method, injection_of in _METHODS.items():
        injection = injection_of(ask)
        if isinstance(injection, _Injection):
            return _granted(ask, target.name, method, injection, tuple(passed_over), user)
        passed_over += [f"{method}: {injection}"] if injection else []
    if not _shared_only(given):
        require_found(choice, target.name)
    without = "" if given.required else ", or run without a device: --devices none"
    raise HostLimitError(
        f"no way leads the devices of target `{target.name}` into a container: {'; '.join(passed_over)}",
        hint=f"one of these must work; `mlorch targets show {target.name}` and docs/devices.md say how{without}",
        slug="no-device-way",
    )


def _shared_only(given: Passthrough) -> bool:
    """Whether the target's nodes are all shared ones that a host must have, as on boards with one built-in device."""
    return any(not node.optional for node in given.nodes) and not any(node.each for node in given.nodes)


# -- the ways: an offer, or why not ('' where the target does not know the way at all) -----


def _by_cdi(ask: _Ask) -> _Injection | str:
    kind, inventory = ask.given.cdi, ask.inventory
    if kind is None:
        return ""
    if not inventory.cdi:
        return "the engine does not take CDI names"
    known = [device for device in inventory.cdi_devices if device.kind == kind]
    if not known:
        return f"no CDI spec that the engine reads names a device of {kind}"
    matches = [_cdi_match(unit, known, inventory) for unit in ask.choice.units]
    devices = [match for match in matches if match is not None]
    isolates = bool(matches) and len(devices) == len(matches)
    if not isolates:
        every = [device for device in known if device.short == "all"]
        if not (every and ask.choice.whole):
            lacking = [unit.label for unit, match in zip(ask.choice.units, matches, strict=True) if match is None]
            return f"no CDI spec names device {', '.join(lacking) or 'any'} of {kind}"
        devices = every
    names = tuple(dict.fromkeys(device.name for device in devices))
    specs = ", ".join(dict.fromkeys(device.spec for device in devices if device.spec)) or "the engine's own list"
    touched = tuple(dict.fromkeys(node for device in devices for node in (*device.nodes, *device.shared)))
    return _Injection(
        why=f"the engine takes CDI names, and {specs} has {', '.join(names)}",
        names=tuple(device.name for device in devices) if isolates else names * len(ask.choice.units),
        isolates=isolates,
        devices=Devices(cdi=names),
        touched=touched or None,
    )


def _cdi_match(unit: Unit, known: Iterable[CdiDevice], inventory: DeviceInventory) -> CdiDevice | None:
    """The CDI device that is this unit: by a name, which its nodes must not belie, else by its nodes.

    A name such as ``0`` counts in the order of whoever wrote the spec, which need not be the kernel's:
    a CDI device that brings a node of another device is never taken for this one.
    """
    own = set(unit.part.nodes if unit.part else unit.device.nodes)
    others = {node for device in inventory.found for node in device.nodes} - set(unit.device.nodes)
    fitting = [device for device in known if device.short != "all" and not others & set(device.nodes)]
    pci = "" if unit.part else unit.device.pci
    for name in filter(None, (unit.uuid, unit.label, pci)):
        for device in fitting:
            said = device.short.lower() == name.lower() or device.short.lower().startswith(f"{pci or '?'}-")
            # Parts of one device share nodes, so all of a part's must be there; of a device one will do.
            belied = own - set(device.nodes) if unit.part else not own & set(device.nodes)
            if said and not (own and device.nodes and belied):
                return device
    return next((device for device in fitting if own and own <= set(device.nodes)), None)


def _by_gpus(ask: _Ask) -> _Injection | str:
    if not ask.given.gpus:
        return ""
    if not ask.inventory.gpus:
        return "the engine cannot do --gpus: it has no hook of the vendor (the NVIDIA container toolkit)"
    if not (ask.choice.units or _shared_only(ask.given)):
        return "no device was found"
    names = tuple(unit.uuid or unit.label for unit in ask.choice.units)
    wanted = ("all",) if _all_by_word(ask, "uuid") else names
    return _Injection(
        why="the engine has the vendor's hook for --gpus",
        names=names,
        devices=Devices(gpus=wanted),
    )


def _by_runtime(ask: _Ask) -> _Injection | str:
    runtime = ask.given.runtime
    if runtime is None:
        return ""
    if runtime.name not in ask.inventory.runtimes:
        return f"the engine has no OCI runtime `{runtime.name}`"
    if not (ask.choice.units or _shared_only(ask.given)):
        return "no device was found"
    wanted = "all" if _all_by_word(ask, runtime.by) else _named(runtime.by, ask.choice.units, isolates=False)
    return _Injection(
        why=f"the engine has the OCI runtime `{runtime.name}`",
        names=tuple(_named(runtime.by, (unit,), isolates=False) for unit in ask.choice.units),
        devices=Devices(runtime=runtime.name, env={runtime.env: wanted}),
    )


def _all_by_word(ask: _Ask, by: By) -> bool:
    """Whether the vendor's word ``all`` is used: it may mean more than the target's devices (a card for a display).

    So devices that have a UUID are always named by it where that is possible.
    """
    return ask.choice.whole and not (by == "uuid" and ask.choice.units and all(u.uuid for u in ask.choice.units))


def _by_nodes(ask: _Ask) -> _Injection | str:
    if not ask.given.nodes:
        return ""
    nodes: list[str] = []
    for node in ask.given.nodes:
        found = _nodes_of(ask, node)
        if not found and not node.optional:
            return f"this host has no {node.name} ({node.reason})"
        if isinstance(found, str):
            return found
        nodes += found
    libraries = _libraries(ask)
    if isinstance(libraries, str):
        return libraries
    for path in nodes:
        require_character(path, ask.inventory.facts)
    names = [_named_nodes(ask, unit) for unit in ask.choice.units]
    passed = tuple(dict.fromkeys(nodes))
    return _Injection(
        why=f"plain device nodes: {', '.join(passed) or 'none'}",
        names=tuple(",".join(own) for own in names),
        isolates=bool(names) and all(names),
        devices=Devices(nodes=passed, mounts=libraries),
        touched=passed,
    )


def _nodes_of(ask: _Ask, node: DeviceNode) -> tuple[str, ...] | str:
    """The host's nodes that a node of the recipe stands for, or why a chosen device lacks one."""
    if not node.each:
        return ask.inventory.nodes.get(node.name, ())
    found: list[str] = []
    for unit in ask.choice.units:
        own = [path for path in unit.nodes if PurePosixPath(path).match(node.name)]
        if not own and not node.optional:
            return f"device {unit.label} has no node {node.name} ({node.reason})"
        found += own
    return tuple(found)


def _named_nodes(ask: _Ask, unit: Unit) -> list[str]:
    patterns = [node.name for node in ask.given.nodes if node.each]
    return [path for path in unit.nodes if any(PurePosixPath(path).match(pattern) for pattern in patterns)]


def _libraries(ask: _Ask) -> tuple[Mount, ...] | str:
    mounts, place = [], LIBRARIES.format(machine=ask.inventory.machine)
    for library in ask.given.libraries:
        source = ask.inventory.libraries.get(library.name)
        if source is not None:
            mounts.append(Mount(source=source, target=f"{place}/{library.name}"))
        elif not library.optional:
            return f"this host has no {library.name} ({library.reason})"
    return tuple(mounts)


_METHODS: dict[str, Callable[[_Ask], _Injection | str]] = {
    "cdi": _by_cdi,
    "gpus": _by_gpus,
    "runtime": _by_runtime,
    "nodes": _by_nodes,
}


# -- what goes with a way --------------------------------------------------------------------


def _granted(
    ask: _Ask, target: str, method: str, injection: _Injection, passed_over: tuple[str, ...], user: str
) -> Devices:
    try:
        return _finish(ask, target, method, injection, passed_over, user)
    except HostLimitError as error:
        if not ask.given.required:
            error.hint += "; or run without a device: --devices none"
        raise


def _finish(
    ask: _Ask, target: str, method: str, injection: _Injection, passed_over: tuple[str, ...], user: str
) -> Devices:
    units, given = ask.choice.units, ask.given
    own = tuple(dict.fromkeys(path for unit in units for path in _named_nodes(ask, unit)))
    touched = injection.touched
    return replace(
        injection.devices,
        env={**_visible(ask, injection), **injection.devices.env},
        groups=groups_for(given.groups, ask.inventory, target, user, touched, plain=method == "nodes"),
        expects=tuple(dict.fromkeys((*own, *injection.devices.nodes))),
        exclusive=tuple(path for path in own if _exclusive(given.nodes, path)),
        near=_near(units),
        device_injection=DeviceInjection(
            method=method,
            why=injection.why,
            passed_over=passed_over,
            whole=ask.choice.whole,
            devices=tuple(_passed(unit, name) for unit, name in zip(units, injection.names, strict=True)),
            nodes=touched if touched is not None else own,
        ),
    )


def _visible(ask: _Ask, injection: _Injection) -> dict[str, str]:
    """The variables that tell the vendor's software which devices to use; none where it is to use all.

    Where only the chosen devices are inside they count from 0 there, whatever they are on the host.
    """
    if ask.choice.whole or not ask.choice.units:
        return {}
    return {v.name: _named(v.by, ask.choice.units, isolates=injection.isolates) for v in ask.given.visible}


def _named(by: By, units: tuple[Unit, ...], *, isolates: bool) -> str:
    labels = [unit.label for unit in units]
    inside = [str(number) for number in range(len(units))] if isolates else labels
    if by == "host-index":
        return ",".join(labels)
    if by == "uuid" and all(unit.uuid for unit in units):
        return ",".join(unit.uuid for unit in units)
    if by == "pci" and all(unit.device.pci for unit in units):
        return ",".join(dict.fromkeys(unit.device.pci for unit in units))
    return ",".join(inside)


def _exclusive(nodes: Iterable[DeviceNode], path: str) -> bool:
    return any(node.exclusive and PurePosixPath(path).match(node.name) for node in nodes)


def _near(units: Iterable[Unit]) -> tuple[int, ...]:
    """The memory nodes of the devices; none where one does not say where it is."""
    places = {unit.device.numa_node for unit in units}
    return () if None in places else tuple(sorted(place for place in places if place is not None))


def _passed(unit: Unit, name: str) -> InjectedDevice:
    return InjectedDevice(
        index=unit.label,
        name=name,
        pci=unit.device.pci,
        uuid=unit.uuid,
        product=unit.device.product,
        profile=unit.part.profile if unit.part else "",
    )
