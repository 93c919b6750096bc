"""The devices of a target on this machine: rules of its recipe carried out over /sys, /proc and /dev."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.facts.devices import FoundDevice, Part
from orchestrator.host.nodes import device_nodes
from orchestrator.host.pci import PciDevice, pci_devices
from orchestrator.host.sysfs import link_name, matches, read_cpuinfo, taken, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.definitions.kinds.detection import Detect, Fact, PartRule, PciRule, SocRule
    from orchestrator.definitions.kinds.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What detection looks at, read once for all targets."""

    root: Path
    machine: str
    flags: frozenset[str]
    pci: tuple[PciDevice, ...]


def this_machine(root: Path = Path("/"), machine: str | None = None) -> Machine:
    """The machine below ``root``; ``machine`` is what uname would call it."""
    cpuinfo = read_cpuinfo(root)
    return Machine(root=root, machine=machine or cpuinfo.machine, flags=cpuinfo.flags, pci=pci_devices(root))


def rule_of(detect: Detect, device: PciDevice) -> PciRule | None:
    """The rule by which a function on the bus is a device of the target: by id, or by class and bound driver."""
    for rule in detect.pci:
        if device.vendor == rule.vendor and device.device in rule.ids:
            return rule
        if device.driver in rule.drivers and _has_class(rule, device):
            return rule
    return None


def similar_devices(detect: Detect, machine: Machine) -> tuple[PciDevice, ...]:
    """Functions of a rule's vendor and class that no rule matches: their id is unknown and the driver not bound."""
    unmatched = [device for device in machine.pci if rule_of(detect, device) is None]
    return tuple(device for device in unmatched if any(_has_class(rule, device) for rule in detect.pci))


def _has_class(rule: PciRule, device: PciDevice) -> bool:
    return device.vendor == rule.vendor and device.pci_class.startswith(rule.classes or ("none",))


def found_devices(target: Target, machine: Machine) -> tuple[FoundDevice, ...]:
    """The target's devices in PCI order, then the one inside the chip, each with what can be read of it.

    Without rules for either, what its own device nodes show.
    """
    if not target.detect.pci and target.detect.soc is None:
        return devices_by_nodes(target, machine.root)
    found: list[FoundDevice] = []
    for device in machine.pci:
        rule = rule_of(target.detect, device)
        if rule is not None:
            found.append(_on_pci(target.name, len(found), device, rule, machine.root))
    soc = target.detect.soc
    if soc is not None and soc_matches(soc, machine.root):
        found.append(_on_chip(target.name, len(found), soc, machine.root))
    return tuple(found)


def devices_by_nodes(target: Target, root: Path = Path("/")) -> tuple[FoundDevice, ...]:
    """The devices that the target's own nodes show: the first has the first node of each pattern, and so on."""
    nodes = [device_nodes(node.name, root) for node in target.passthrough.nodes if node.each]
    count = max(map(len, nodes), default=0)
    return tuple(
        FoundDevice(target=target.name, index=index, nodes=tuple(each[index] for each in nodes if index < len(each)))
        for index in range(count)
    )


def soc_matches(rule: SocRule, root: Path) -> bool:
    """Whether the machine is that system on a chip."""
    return any(re.search(rule.pattern, text_of(path)) for path in matches(rule.file, root))


# -- one device --------------------------------------------------------------------------


def _on_pci(target: str, index: int, device: PciDevice, rule: PciRule, root: Path) -> FoundDevice:
    known = {"pci": device.address, "index": str(index), "vendor": device.vendor, "device": device.device}
    facts = _read(rule.facts, known, root)
    uuid = _filled(rule.uuid, facts)
    facts["uuid"] = uuid
    product = rule.ids.get(device.device)
    return FoundDevice(
        target=target,
        index=index,
        pci=device.address,
        vendor=device.vendor,
        device=device.device,
        product=product.name if product else "",
        driver=device.driver,
        numa_node=device.numa_node,
        uuid=uuid,
        nodes=_nodes(rule.nodes, facts, root),
        parts=_parts(rule.parts, facts, root) if rule.parts else (),
    )


def _on_chip(target: str, index: int, rule: SocRule, root: Path) -> FoundDevice:
    loaded = rule.driver is not None and (root / "sys/module" / rule.driver).exists()
    product = text_of(root / rule.product.lstrip("/")).rstrip("\0") if rule.product else ""
    return FoundDevice(
        target=target, index=index, product=product, driver=rule.driver if loaded and rule.driver else ""
    )


def _read(rules: Mapping[str, Fact], known: Mapping[str, str], root: Path) -> dict[str, str]:
    """The facts that this machine has; one that needs an absent one is absent too."""
    facts = dict(known)
    for name, rule in rules.items():
        source = _filled(rule.source, facts)
        value = _value(rule, source, root) if source else ""
        if value:
            facts[name] = value
    return facts


def _value(rule: Fact, source: str, root: Path) -> str:
    if rule.link:
        text = link_name(root / source.lstrip("/"))
    elif rule.glob:
        text = next((path.name for path in matches(source, root)), "")
    else:
        text = text_of(root / source.lstrip("/"))
    return taken(text, rule.pattern)


def _filled(template: str, facts: Mapping[str, str]) -> str:
    """The template with facts in it; '' where one is missing."""
    try:
        return template.format_map(facts)
    except KeyError:
        return ""


def _nodes(templates: tuple[str, ...], facts: Mapping[str, str], root: Path) -> tuple[str, ...]:
    """The nodes that the templates name and that are there."""
    return tuple(node for template in templates for node in device_nodes(_filled(template, facts), root))


def _parts(rule: PartRule, facts: Mapping[str, str], root: Path) -> tuple[Part, ...]:
    folders = _filled(rule.folders, facts)
    found: list[Part] = []
    for folder in matches(folders, root) if folders else ():
        match = re.search(f"(?:{rule.pattern})$", str(folder))
        if match is None:
            continue
        path = f"/{folder.relative_to(root)}"
        own = _read(rule.facts, {**facts, **match.groupdict(default=""), "folder": path}, root)
        found.append(
            Part(
                uuid=_filled(rule.uuid, own),
                index=len(found),
                profile=_filled(rule.profile, own),
                nodes=_nodes(rule.nodes, own, root),
            )
        )
    return tuple(found)
