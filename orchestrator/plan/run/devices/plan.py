"""How a container gets the devices that were chosen: the first method that the target, the engine and the host share.

In order: CDI names, the engine's `--gpus`, the vendor's OCI runtime, plain device nodes; and which of the
host's groups the run's user needs to open what is passed. Pure: what the
host and its engine have is an argument (`DeviceInventory`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.errors import HostLimitError
from orchestrator.facts.runs import DeviceInjection, InjectedDevice
from orchestrator.plan.run.devices.choice import choose, with_uuids
from orchestrator.plan.run.devices.methods import (
    Injection,
    Unavailable,
    Wanted,
    by_cdi,
    by_gpus,
    by_nodes,
    by_runtime,
    own_nodes,
    units_named,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchestrator.definitions.kinds.targets import DeviceNode, Group, Target
    from orchestrator.facts.containers import ContainerSpec, Mount
    from orchestrator.facts.devices import DeviceInventory, Node, Unit

_METHODS: dict[str, Callable[[Wanted], Injection | None]] = {
    "cdi": by_cdi,
    "gpus": by_gpus,
    "runtime": by_runtime,
    "nodes": by_nodes,
}


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

    def given_to(self, spec: ContainerSpec) -> ContainerSpec:
        """The container with these devices: what a run's container and a prepare step's get of them."""
        return replace(
            spec,
            mounts=(*spec.mounts, *self.mounts),
            env=dict(sorted({**spec.env, **self.env}.items())),
            groups=self.groups,
            devices=self.nodes,
            cdi_devices=self.cdi,
            gpus=self.gpus,
            runtime=self.runtime,
            expects=self.expects,
            exclusive=self.exclusive,
        )


def plan_devices(target: Target, inventory: DeviceInventory, selection: str, user: str) -> Devices:
    """The devices of one container of ``target``.

    ``selection`` is `--devices`, ``user`` is ``uid:gid``. Raises `UsageError` for a choice that cannot be made,
    `HostLimitError` where a device is missing (`device-missing`), no method can pass it (`no-device-way`), or
    the user cannot open it (`group-missing`, `device-rights`).
    """
    passthrough = target.passthrough
    specs = [device for device in inventory.cdi_devices if device.kind == passthrough.cdi]
    inventory = replace(inventory, found=with_uuids(inventory.found, specs))
    choice = choose(
        selection, inventory.found, target.name, required=passthrough.required, possible=not passthrough.empty
    )
    wanted = Wanted(passthrough=passthrough, inventory=inventory, choice=choice)
    if passthrough.empty or not (wanted.has_devices or passthrough.required):
        return Devices()
    passed_over: list[str] = []
    for method, ask in _METHODS.items():
        try:
            injection = ask(wanted)
        except Unavailable as why:
            passed_over.append(f"{method}: {why}")
            continue
        if injection is not None:
            return _devices(wanted, target.name, method, injection, tuple(passed_over), user)
    if not wanted.has_devices:
        raise HostLimitError(
            f"no device of target `{target.name}` was found on this host",
            hint="check the driver with `mlorch doctor`, or choose another target with --target",
            slug="device-missing",
        )
    without = "" if passthrough.required else ", or run without a device: --devices none"
    raise HostLimitError(
        f"the devices of target `{target.name}` cannot be passed into a container: {'; '.join(passed_over)}",
        hint=f"one of these must work; `mlorch targets show {target.name}` and docs/devices.md say how{without}",
        slug="no-device-way",
    )


# -- what goes with a method ---------------------------------------------------------------


def _devices(
    wanted: Wanted, target: str, method: str, injection: Injection, passed_over: tuple[str, ...], user: str
) -> Devices:
    own = tuple(dict.fromkeys(path for unit in wanted.units for path in own_nodes(wanted.passthrough, unit)))
    return Devices(
        nodes=injection.nodes,
        cdi=injection.cdi,
        gpus=injection.gpus,
        runtime=injection.runtime,
        env={**_visible(wanted, injection), **injection.env},
        groups=_groups(wanted, target, method, injection, user),
        mounts=injection.mounts,
        expects=tuple(dict.fromkeys((*own, *injection.nodes))),
        exclusive=tuple(path for path in own if _is_exclusive(wanted.passthrough.nodes, path)),
        near=_near(wanted.units),
        device_injection=DeviceInjection(
            method=method,
            why=injection.why,
            passed_over=passed_over,
            whole=wanted.choice.whole,
            devices=tuple(_injected(unit, name) for unit, name in zip(wanted.units, injection.names, strict=True)),
            nodes=injection.touched if injection.touched is not None else own,
        ),
    )


def _groups(wanted: Wanted, target: str, method: str, injection: Injection, user: str) -> tuple[str, ...]:
    try:
        return _groups_for(wanted, injection, target, user, plain=method == "nodes")
    except HostLimitError as error:
        if not wanted.passthrough.required:
            error.hint += "; or run without a device: --devices none"
        raise


def _visible(wanted: Wanted, injection: Injection) -> dict[str, str]:
    """The variables that tell the vendor's software which devices to use; none where it is to use all."""
    if wanted.choice.whole or not wanted.units:
        return {}
    variables = wanted.passthrough.visible
    return {each.name: units_named(each.by, wanted.units, isolates=injection.isolates) for each in variables}


def _is_exclusive(nodes: Iterable[DeviceNode], path: str) -> bool:
    return any(node.exclusive and PurePosixPath(path).match(node.name) for node in nodes)


def _near(units: Iterable[Unit]) -> tuple[int, ...]:
    """The memory nodes of the devices; none where one of them is not known."""
    nodes = {unit.device.numa_node for unit in units}
    if None in nodes:
        return ()
    return tuple(sorted(node for node in nodes if node is not None))


def _injected(unit: Unit, name: str) -> InjectedDevice:
    return InjectedDevice(
        index=unit.label,
        name=name,
        pci=unit.device.pci,
        uuid=unit.uuid,
        product=unit.device.product,
        profile=unit.part.profile if unit.part else "",
    )


# -- groups --------------------------------------------------------------------------------
# A container has no capability that overrides a file's rights, not even as root: the owner, group
# and mode of a node decide.


def _groups_for(wanted: Wanted, injection: Injection, target: str, user: str, *, plain: bool) -> tuple[str, ...]:
    """The numbers of the groups that the container's user needs to open the nodes that go in.

    Where the nodes are known only the groups that open one are given; where they are not
    (``touched`` is None) all that the recipe names. With ``plain`` nodes one that stays shut
    is an error: `group-missing` where the recipe's group is not on this host, else `device-rights`.
    """
    named, inventory, touched = wanted.passthrough.groups, wanted.inventory, injection.touched
    if touched is None or any(path not in inventory.facts for path in touched):
        _require_groups(named, inventory, target)
        return _numbers((group.name for group in named), inventory)
    uid, gid = (int(number) for number in user.split(":"))
    needed = []
    for node in (inventory.facts[path] for path in touched):
        if opens(node, uid, gid):
            continue
        name = _opening(node, named, inventory) if node.uid != uid else None
        if name is not None:
            needed.append(name)
        elif plain:
            _require_groups(named, inventory, target)
            raise _shut(node, user, named, inventory, target)
    return _numbers(needed, inventory)


def opens(node: Node, uid: int, gid: int) -> bool:
    """Whether a user without capabilities may read and write a node: owner, else group, else all others count."""
    if uid == node.uid:
        shift = 6
    elif gid == node.gid:
        shift = 3
    else:
        shift = 0
    return node.mode >> shift & 0o6 == 0o6


def _opening(node: Node, named: Iterable[Group], inventory: DeviceInventory) -> str | None:
    """The group of the recipe that may read and write the node; root's own is never given."""
    if node.gid == 0 or node.mode & 0o060 != 0o060:
        return None
    return next((group.name for group in named if inventory.groups.get(group.name) == str(node.gid)), None)


def _numbers(names: Iterable[str], inventory: DeviceInventory) -> tuple[str, ...]:
    numbers = dict.fromkeys(inventory.groups[name] for name in names if name in inventory.groups)
    return tuple(number for number in numbers if number != "0")


def _require_groups(named: Iterable[Group], inventory: DeviceInventory, target: str) -> None:
    """Raise `HostLimitError` [group-missing] for a group that the recipe needs and this host does not have."""
    for group in named:
        if group.name not in inventory.groups and not group.optional:
            raise HostLimitError(
                f"target `{target}` needs the group `{group.name}`, which this host does not have",
                hint="install the device's driver package (it makes the group), or add the group and give it the nodes",
                slug="group-missing",
            )


def _shut(node: Node, user: str, named: tuple[Group, ...], inventory: DeviceInventory, target: str) -> HostLimitError:
    numbers = {group.name: inventory.groups[group.name] for group in named if group.name in inventory.groups}
    granted = ", ".join(f"{name} ({number})" for name, number in numbers.items()) or "none"
    return HostLimitError(
        f"{node.path} belongs to {node.uid}:{node.gid} with mode {node.mode:04o}: the run's user {user} cannot open "
        f"it, and no group that target `{target}` grants changes that ({granted})",
        hint="give the node a group by a udev rule of the driver and name that group in the target, "
        "or run mlorch as a user who may open it",
        slug="device-rights",
    )
