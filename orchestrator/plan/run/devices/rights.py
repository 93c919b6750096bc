"""Whether a run's user may open the nodes that are passed, and which of the host's groups it needs for that. Pure.

A container has no capability that overrides a file's rights, not even as root: the owner, group
and mode of a node decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import HostLimitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.definitions.kinds.targets import Group
    from orchestrator.facts.devices import DeviceInventory, Node

_MEMORY = frozenset({(1, 1), (1, 2), (1, 4)})
"""Major and minor of /dev/mem, /dev/kmem and /dev/port, whatever name leads to them."""


def require_character(path: str, facts: Mapping[str, Node]) -> None:
    """Raise `HostLimitError` [device-kind] for what is no character device, or is the host's memory."""
    node = facts.get(path)
    if node is None:
        return
    if node.kind != "c" or (node.major, node.minor) in _MEMORY:
        what = {"b": "a disk (a block device)", "d": "a folder"}.get(node.kind, "no device")
        what = "the memory of the host" if node.kind == "c" else what
        raise HostLimitError(
            f"{path} is {what}; only the character devices of an accelerator are ever passed",
            hint="correct the node's name in the target's recipe: `mlorch recipes lint`",
            slug="device-kind",
        )


def groups_for(
    groups: Iterable[Group],
    inventory: DeviceInventory,
    target: str,
    user: str,
    touched: tuple[str, ...] | None,
    *,
    plain: bool,
) -> tuple[str, ...]:
    """The numbers of the groups that the container's user needs to open the nodes that go in.

    Where the nodes are known only the groups that open one are given; where they are not
    (``touched`` is None) all that the recipe names. With ``plain`` nodes one that stays shut
    is an error: `group-missing` where the recipe's group is not on this host, else `device-rights`.
    """
    named = tuple(groups)
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
