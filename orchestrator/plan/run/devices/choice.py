"""Which of a target's devices a run uses: `--devices` against what the host has. Pure.

The order in which devices are named means nothing: they are used in the host's order,
which is the order in which a container counts them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.facts.devices import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orchestrator.facts.devices import CdiDevice, FoundDevice, Part

GRAMMAR = (
    "write all, none, indices (0,2 or 0-3), parts (0:1), count:2, uuid:GPU-…, uuid:MIG-… or pci:0000:3b:00.0, "
    "joined by commas; `mlorch targets show TARGET` lists the devices"
)
_INDICES = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
_OTHER = re.compile(
    r"(?P<all>all)|(?P<none>none)|(?P<part>\d{1,4}:\d{1,4})|count:(?P<count>(?!0+\Z)\d{1,4})"
    r"|uuid:(?P<uuid>[A-Za-z0-9-]{4,80})|pci:(?P<pci>(?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7])"
)
"""Named by the kind of `Term`."""
_UUID_NAME = re.compile(r"[A-Za-z]{2,8}-[0-9a-fA-F]{8}[0-9a-fA-F-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The units to use, in the host's order; ``whole`` when they are all that the target has here."""

    units: tuple[Unit, ...] = ()
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a selection: ``kind`` is all, none, count, index, part, uuid or pci."""

    kind: str
    value: str = ""


def parse(text: str) -> tuple[Term, ...]:
    """The words of `--devices`; an empty text is ``all``. Raises `UsageError` [devices-syntax]."""
    if not text:
        return (Term("all"),)
    terms = tuple(term for word in text.split(",") for term in _terms(word.strip(), text))
    if len(terms) > 1 and any(term.kind in {"all", "none", "count"} for term in terms):
        raise UsageError(f"--devices {text}: all, none and count:N stand alone", hint=GRAMMAR, slug="devices-syntax")
    return terms


def _terms(word: str, text: str) -> Iterable[Term]:
    """What one word of `--devices` means: several indices for a range, else one thing."""
    terms: list[Term] = []
    if match := _INDICES.fullmatch(word):
        first, last = int(match[1]), int(match[2] or match[1])
        terms = [Term("index", str(index)) for index in range(first, last + 1)]
    elif (match := _OTHER.fullmatch(word)) and match.lastgroup is not None:
        terms = [Term(match.lastgroup, _normalised(match.lastgroup, match[match.lastgroup]))]
    if not terms:
        shown = f"`{word}` in `--devices {text}`" if word != text else f"`--devices {text}`"
        raise UsageError(f"{shown} names no device", hint=GRAMMAR, slug="devices-syntax")
    return terms


def _normalised(kind: str, value: str) -> str:
    """A value as devices have it: a PCI address with its domain in the kernel's spelling, numbers without zeros."""
    if kind == "part":
        return ":".join(str(int(number)) for number in value.split(":"))
    if kind == "pci":
        return value.lower() if value.count(":") == 2 else f"0000:{value.lower()}"
    return value


def choose(text: str, found: Iterable[FoundDevice], target: str, *, required: bool, possible: bool = True) -> Choice:
    """The units of ``target`` that `--devices` names; everything by default: an MLPerf system is measured whole.

    ``required``: the target is of no use without a device; ``possible``: it can pass any. Raises
    `UsageError` for a device that is not there or belongs to another target.
    """
    terms, everything = parse(text), tuple(found)
    own = sorted((device for device in everything if device.target == target), key=lambda device: device.index)
    every = tuple(unit for device in own for unit in _units(device))
    kind = terms[0].kind
    if kind == "all":
        return Choice(units=every)
    if not possible:
        message = f"target `{target}` has no devices to choose from"
        raise UsageError(message, hint="leave --devices out", slug="no-devices")
    if kind == "none" and required:
        message = f"target `{target}` needs a device"
        raise UsageError(message, hint="leave --devices none out", slug="device-required")
    if kind == "none":
        return Choice(whole=not every)
    if kind == "count":
        wanted = int(terms[0].value)
        if wanted > len(every):
            message = f"target `{target}` has {len(every)} devices here, and --devices asks for {wanted}"
            raise UsageError(message, hint=_available(every), slug="unknown-device")
        return Choice(units=every[:wanted], whole=wanted == len(every))
    chosen = _named(terms, own, everything, target)
    units = tuple(unit for unit in every if unit in chosen)  # in the host's order
    return Choice(units=units, whole=len(units) == len(every))


def with_uuids(found: Iterable[FoundDevice], specs: Iterable[CdiDevice]) -> tuple[FoundDevice, ...]:
    """``found`` with the UUIDs that CDI specs have and the host's files do not: those of MIG instances are in no file.

    A spec whose names are UUIDs (nvidia-ctk cdi generate --device-name-strategy=uuid) says by its
    nodes which device or part each is.
    """
    named = [device for device in specs if _UUID_NAME.fullmatch(device.short)]
    return tuple(_learned(device, named) for device in found) if named else tuple(found)


def _learned(device: FoundDevice, named: Sequence[CdiDevice]) -> FoundDevice:
    def uuid_of(nodes: tuple[str, ...]) -> str:
        fitting = [spec.short for spec in named if nodes and set(nodes) <= set(spec.nodes)]
        return fitting[0] if len(fitting) == 1 else ""

    def part_with(part: Part) -> Part:
        return part if part.uuid else replace(part, uuid=uuid_of(part.nodes))

    if device.parts:
        return replace(device, parts=tuple(part_with(part) for part in device.parts))
    return device if device.uuid else replace(device, uuid=uuid_of(device.nodes))


def _units(device: FoundDevice) -> tuple[Unit, ...]:
    """A device that is cut into parts cannot be used whole."""
    return tuple(Unit(device=device, part=part) for part in device.parts) or (Unit(device=device),)


def _named(
    terms: Sequence[Term], own: Sequence[FoundDevice], found: Sequence[FoundDevice], target: str
) -> tuple[Unit, ...]:
    chosen: list[Unit] = []
    others: dict[str, str] = {}
    for term in terms:
        units = _matching(term, own)
        if units:
            chosen += units
            continue
        elsewhere = _matching(term, [device for device in found if device.target != target])
        if not elsewhere or term.kind in {"index", "part"}:
            raise _unknown(term, own, target)
        others[_shown(term)] = elsewhere[0].device.target
    if others:
        raise _of_another(others, chosen, target)
    return tuple(chosen)


def _matching(term: Term, devices: Iterable[FoundDevice]) -> tuple[Unit, ...]:
    """The units that a word means; a device that is cut into parts stands for all of them."""
    tests: dict[str, Callable[[Unit], bool]] = {
        "index": lambda unit: str(unit.device.index) == term.value,
        "part": lambda unit: unit.part is not None and unit.label == term.value,
        "uuid": lambda unit: term.value.lower() in {unit.uuid.lower(), unit.device.uuid.lower()},
        "pci": lambda unit: unit.device.pci == term.value,
    }
    return tuple(unit for device in devices for unit in _units(device) if tests[term.kind](unit))


def _unknown(term: Term, own: Sequence[FoundDevice], target: str) -> UsageError:
    """Why a word means no device of the target, with what to choose instead."""
    every = tuple(unit for device in own for unit in _units(device))
    wants_part = term.kind == "part" or (term.kind == "uuid" and term.value.lower().startswith("mig-"))
    if wants_part and own and not any(device.parts for device in own):
        return UsageError(
            f"{_shown(term)} is a part of a device, and no device of target `{target}` is cut into parts: "
            "MIG is off, or has no instances",
            hint=f"make the instances first (nvidia-smi mig), or take a whole device. {_available(every)}",
            slug="no-parts",
        )
    hidden = [unit for unit in every if not unit.uuid and (unit.part or not wants_part)]
    if term.kind == "uuid" and hidden:
        return UsageError(
            f"this host does not show the UUIDs of all devices of target `{target}`, so {_shown(term)} may be any",
            hint="choose by index or PCI address, or name devices by UUID in a CDI spec "
            f"(nvidia-ctk cdi generate --device-name-strategy=uuid). {_available(every)}",
            slug="unknown-device",
        )
    return UsageError(
        f"target `{target}` has no device {_shown(term)} on this host", hint=_available(every), slug="unknown-device"
    )


def _of_another(others: dict[str, str], chosen: Sequence[Unit], target: str) -> UsageError:
    words = ", ".join(f"{shown} is of target `{other}`" for shown, other in others.items())
    targets = set(others.values())
    if not chosen and len(targets) == 1:
        return UsageError(
            f"{words}, not of `{target}`", hint=f"run it with --target {min(targets)}", slug="devices-other-target"
        )
    if chosen:
        words += f"; {', '.join(unit.label for unit in chosen)} of `{target}`"
    return UsageError(
        f"--devices names devices of different targets: {words}",
        hint="one run measures one target: choose devices of one, and run the other by itself",
        slug="devices-mixed",
    )


def _shown(term: Term) -> str:
    return f"{term.kind}:{term.value}" if term.kind in {"uuid", "pci"} else term.value


def _available(units: Iterable[Unit]) -> str:
    """The devices that there are, for a hint."""
    words = [describe(unit) for unit in units]
    return f"there are: {'; '.join(words)}" if words else "no device of it was found: `mlorch doctor` says why"


def describe(unit: Unit) -> str:
    """A unit for people: its index and what else is known of it."""
    facts = (unit.device.product, unit.part.profile if unit.part else "", unit.device.pci, unit.uuid)
    known = ", ".join(fact for fact in facts if fact)
    return f"{unit.label} ({known})" if known else unit.label
