"""Which targets this host has, in three states, with the reason of every answer.

Present: the hardware is there. Driver ok: its kernel driver is bound, its device nodes exist
and its version is new enough. Container ok: the engine can pass it to a container. Each state
is checked only where the one before holds; None: not checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.host.accelerators import (
    Machine,
    found_devices,
    similar_devices,
    soc_matches,
    this_machine,
)
from orchestrator.host.sysfs import matches, taken, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orchestrator.definitions.kinds.detection import Driver, Version
    from orchestrator.definitions.kinds.targets import Target
    from orchestrator.facts.devices import FoundDevice

    Judge = Callable[[Target, Sequence[FoundDevice]], "Passable"]
    """Says whether an engine can pass the devices of a target to a container."""

_PLATFORMS = {"x86_64": "linux/amd64", "amd64": "linux/amd64", "aarch64": "linux/arm64", "arm64": "linux/arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Passable:
    """Whether containers can get the devices and by which method, or what prevents it and what to do."""

    ok: bool | None = None
    how: str = ""
    trouble: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Whether a target can be used here; None where that was not checked.

    ``why`` is a line on what was found or is missing, ``hint`` what to do about it, ``how`` by
    which method containers get the devices, ``variant`` what the processor has.
    """

    name: str
    present: bool
    driver_ok: bool | None
    container_ok: bool | None
    devices: tuple[FoundDevice, ...] = ()
    why: str
    hint: str = ""
    how: str = ""
    variant: str = ""
    archs: tuple[str, ...] = ()
    """What the devices' code must be built for, where the recipe knows (gfx942, sm_90)."""

    @property
    def usable(self) -> bool:
        """Whether every check that was made passed."""
        return self.present and self.driver_ok is not False and self.container_ok is not False

    @property
    def state(self) -> str:
        """How far it can be used, in a word or two."""
        if not self.present:
            return "absent"
        if self.driver_ok is False:
            return "no driver"
        if self.container_ok is False:
            return "not in containers"
        return "ready" if self.container_ok else "present"


def platform_of(machine: str) -> str:
    """The platform of images that run on a machine as uname calls it."""
    return _PLATFORMS.get(machine, machine)


def presence(target: Target, machine: Machine | None = None, judge: Judge | None = None) -> Presence:
    """What this host has of a target; without a judge the engine is not asked."""
    machine = machine or this_machine()
    absent = _absent(target, machine)
    if absent:
        why, hint = absent
        return Presence(name=target.name, present=False, driver_ok=None, container_ok=None, why=why, hint=hint)
    devices = found_devices(target, machine)
    driver_ok, trouble, hint = _driver(target, devices, machine)
    passable = Passable()
    if judge is not None and driver_ok is not False:
        passable = judge(target, devices)
    return Presence(
        name=target.name,
        present=True,
        driver_ok=driver_ok,
        container_ok=passable.ok,
        devices=devices,
        why="; ".join(filter(None, (_found(target, devices), trouble, passable.trouble))),
        hint=hint or passable.hint,
        how=passable.how,
        variant=_variant(target, machine),
        archs=_archs(target, devices),
    )


def presences(
    targets: Iterable[Target], machine: Machine | None = None, judge: Judge | None = None
) -> tuple[Presence, ...]:
    """The same of several targets, with the machine read once."""
    machine = machine or this_machine()
    return tuple(presence(target, machine, judge) for target in targets)


def best(targets: Sequence[Target], found: Sequence[Presence]) -> Target | None:
    """The target to use: of highest priority among the usable ones, the first by name among equals."""
    usable = {each.name for each in found if each.usable}
    fitting = [target for target in targets if target.name in usable]
    return min(fitting, key=lambda target: (-target.priority, target.name), default=None)


# -- present -----------------------------------------------------------------------------


def _absent(target: Target, machine: Machine) -> tuple[str, str] | None:
    """Why the target is not here and what might help, or None where it is."""
    detect = target.detect
    if unmet_requirement := _unfit(target, machine):
        return unmet_requirement, ""
    if detect.always or ((detect.pci or detect.soc) and found_devices(target, machine)):
        return None
    if detect.pci:
        return _no_device(target, machine)
    if detect.soc:
        return f"{detect.soc.file} does not match {detect.soc.pattern}", ""
    if detect.paths or detect.machine:
        return None
    return "its recipe has no rule to detect it", "give it `detect:`; see docs/targets.md"


def _unfit(target: Target, machine: Machine) -> str:
    """Why the machine itself does not fit the target; '' where it does."""
    detect, mine = target.detect, platform_of(machine.machine)
    if mine not in target.platforms:
        return f"this host is {mine}; the target has images for {', '.join(target.platforms)}"
    if detect.machine and machine.machine not in detect.machine:
        return f"this host is {machine.machine}; the target needs {' or '.join(detect.machine)}"
    if detect.unless_soc is not None and soc_matches(detect.unless_soc, machine.root):
        return "this host is a system on a chip that has a target of its own"
    missing = [path for path in detect.paths if not matches(path, machine.root)]
    return f"not here: {', '.join(missing)}" if missing else ""


def _no_device(target: Target, machine: Machine) -> tuple[str, str]:
    """No device of a known id; a similar one is named, since only its driver may be missing."""
    near = similar_devices(target.detect, machine)
    titles = " or ".join(dict.fromkeys(rule.title for rule in target.detect.pci))
    if not near:
        return f"no {titles} on PCI", ""
    first = near[0]
    driver = f"driver {first.driver}" if first.driver else "no driver"
    why = (
        f"no {titles} on PCI; {first.address} ({first.vendor}:{first.device}) has {driver} and an id that is not listed"
    )
    hint = target.detect.driver.hint if target.detect.driver else ""
    return why, hint


def _found(target: Target, devices: Sequence[FoundDevice]) -> str:
    if not devices:
        detect = target.detect
        if detect.always:
            return "needs no device"
        return f"found {', '.join(detect.paths)}" if detect.paths else "found by the kind of machine"
    counts: dict[str, int] = {}
    for device in devices:
        name = device.product or (f"{device.vendor}:{device.device}" if device.pci else "inside the chip")
        counts[name] = counts.get(name, 0) + 1
    words = ", ".join(f"{count} × {name}" if count > 1 else name for name, count in counts.items())
    parts = sum(len(device.parts) for device in devices)
    return f"{words}, in {parts} parts" if parts else words


def _variant(target: Target, machine: Machine) -> str:
    for variant in target.variants:
        if variant.machine == machine.machine and machine.flags.issuperset(variant.flags):
            return variant.name
    return ""


def _archs(target: Target, devices: Sequence[FoundDevice]) -> tuple[str, ...]:
    known = {(rule.vendor, device): p.arch for rule in target.detect.pci for device, p in rule.ids.items()}
    found = [known.get((device.vendor, device.device)) for device in devices]
    if target.detect.soc is not None:
        found += [target.detect.soc.arch for device in devices if not device.pci]
    return tuple(dict.fromkeys(arch for arch in found if arch))


# -- driver ------------------------------------------------------------------------------


def _driver(target: Target, devices: Sequence[FoundDevice], machine: Machine) -> tuple[bool | None, str, str]:
    """Whether the driver works as far as the kernel shows, what is wrong and what to do."""
    detect = target.detect
    if detect.driver is None:
        return (True if detect.always else None), "", ""
    driver, optional = detect.driver, detect.always
    if optional and not devices:
        return True, "", ""
    trouble = _unbound(target, devices) or _missing_nodes(driver, machine)
    if not trouble and driver.version is not None:
        trouble = _too_old(driver, driver.version, machine)
    if not trouble:
        return True, "", ""
    # Where the target works without its devices, a driver that is missing takes only them away.
    return optional, trouble, driver.hint


def _unbound(target: Target, devices: Sequence[FoundDevice]) -> str:
    """The first device without its driver; '' where all have theirs."""
    for device in devices:
        trouble = _unbound_on_pci(target, device) if device.pci else _unbound_on_chip(target, device)
        if trouble:
            return trouble
    return ""


def _unbound_on_pci(target: Target, device: FoundDevice) -> str:
    names: list[str] = []
    for rule in target.detect.pci:
        if rule.vendor == device.vendor and device.driver in rule.drivers:
            return ""
        names += rule.drivers
    bound = f"is bound to {device.driver}" if device.driver else "has no driver"
    return f"{device.pci} {bound}, not to {' or '.join(dict.fromkeys(names))}"


def _unbound_on_chip(target: Target, device: FoundDevice) -> str:
    soc = target.detect.soc
    if device.driver or soc is None or not soc.driver:
        return ""
    return f"the kernel module {soc.driver} is not loaded"


def _missing_nodes(driver: Driver, machine: Machine) -> str:
    missing = [node for node in driver.nodes if not matches(node, machine.root)]
    return f"no {', '.join(missing)}: {driver.title} has not made its device nodes" if missing else ""


def _too_old(driver: Driver, version: Version, machine: Machine) -> str:
    text = next((text_of(path) for path in matches(version.file, machine.root)), "")
    found = taken(text, version.pattern)
    if not found:
        return ""  # a driver of the kernel's own tree has no version besides the kernel's
    if _numbers(found) >= _numbers(version.minimum):
        return ""
    return f"{driver.title} is {found}; needed is {version.minimum} ({version.reason})"


def _numbers(version: str) -> tuple[int, ...]:
    """``550.54.15`` as numbers; what follows the numbers (``-rc1``) does not count."""
    numbers = []
    for part in version.split("."):
        digits = taken(part, r"^[0-9]+")
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
