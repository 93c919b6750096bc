"""How a host shows that it has a target's hardware: rules over /sys, /proc and /dev, as data.

A device counts by what it is (vendor and device id) or by what drives it (vendor, class
and kernel driver), never by its vendor alone: the same vendor makes network cards, disks
and bridges. `orchestrator.host.detect` reads a machine by these rules; no vendor's tool
is ever called.
"""

from __future__ import annotations

import re
import string
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from orchestrator.definitions.kinds.base import Line, Name, Strict

HexId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{4}\Z")]
PciClass = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2}(?:[0-9a-f]{2}){0,2}\Z")]
"""The start of a PCI class: ``03`` any display, ``0302`` a 3D controller, ``120000`` with the interface."""
ModuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*\Z", max_length=64)]
FactName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\Z", max_length=32)]
HostPath = Annotated[
    str,
    StringConstraints(
        pattern=r"^(?!.*/\.\.(?:/|\Z))(?:/(?:sys|proc|dev|etc|run|var/run)|\{folder\})/[^\x00-\x1f\x7f]+\Z"
    ),
]
"""A file of the kernel or of the system's configuration, maybe with a glob; ``{name}`` stands for a fact."""


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


Pattern = Annotated[str, StringConstraints(max_length=200), AfterValidator(_regex)]
BUILT_IN_FACTS = ("pci", "index", "vendor", "device")


def placeholders(template: str) -> set[str]:
    """The names that a template such as ``/dev/nvidia{minor}`` needs; raises `ValueError` for a broken one."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


class Fact(Strict):
    """One thing to read of a device: a file's text, where a link leads, or what a glob finds (its last part).

    ``pattern`` takes its first group out of that.
    """

    file: HostPath | None = None
    link: HostPath | None = None
    glob: HostPath | None = None
    pattern: Pattern = ""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.file, self.link, self.glob)) != 1:
            raise ValueError("a fact is read from exactly one of file, link and glob")
        return self

    @property
    def source(self) -> str:
        """The path, whatever kind it is."""
        return self.file or self.link or self.glob or ""


class _Reading(Strict):
    """Facts by name, and what is made of them; a node or UUID whose facts are not there is left out."""

    facts: dict[FactName, Fact] = Field(default_factory=dict)
    uuid: str = ""
    nodes: tuple[HostPath, ...] = ()

    def require_facts(self, known: tuple[str, ...]) -> None:
        """Raise `ValueError` where a template names a fact that is not there yet."""
        names = {*known}
        for name, fact in self.facts.items():
            _known(fact.source, names)
            names.add(name)
        for template in (self.uuid, *self.nodes):
            _known(template, names)


def _known(template: str, names: set[str]) -> None:
    for name in sorted(placeholders(template) - names):
        raise ValueError(f"`{template}` needs the fact `{name}`; before it there are {', '.join(sorted(names))}")


class PartRule(_Reading):
    """Slices of a device that are used like devices (MIG instances): a folder each.

    The named groups of ``pattern``, matched against the end of the folder's path, are facts too.
    """

    folders: HostPath
    pattern: Pattern
    profile: str = ""


class Product(Strict):
    """What a device id means: the name for people, and what code for it is built for."""

    name: str = Field(min_length=2, max_length=80)
    arch: Name | None = None


class PciRule(_Reading):
    """Devices on PCI: by id, or by class together with the driver that is bound to them."""

    vendor: HexId
    ids: dict[HexId, Product] = Field(default_factory=dict)
    classes: tuple[PciClass, ...] = ()
    drivers: tuple[ModuleName, ...] = Field(min_length=1)
    parts: PartRule | None = None
    title: Line = "device"
    """What such a device is called in messages."""

    @model_validator(mode="after")
    def _never_by_vendor_alone(self) -> Self:
        if not self.ids and not self.classes:
            raise ValueError("a vendor makes more than accelerators: name device ids, or classes with their drivers")
        self.require_facts(BUILT_IN_FACTS)
        if self.parts is not None:
            groups = tuple(re.compile(self.parts.pattern).groupindex)
            _known(self.parts.folders, {*BUILT_IN_FACTS, *self.facts, "uuid"})
            self.parts.require_facts((*BUILT_IN_FACTS, *self.facts, *groups, "uuid", "folder"))
        return self


class SocRule(Strict):
    """A system on a chip with its accelerator inside, which no bus shows."""

    file: HostPath
    pattern: Pattern
    product: HostPath | None = None
    arch: Name | None = None
    driver: ModuleName | None = None
    """The kernel module that must be loaded (/sys/module)."""


class Version(Strict):
    """Where the driver says its version, and the least one that works with the target's images."""

    file: HostPath
    pattern: Pattern = ""
    minimum: Annotated[str, StringConstraints(pattern=r"^[0-9]+(?:\.[0-9]+)*\Z")]
    reason: Line = Field(min_length=8)


class Driver(Strict):
    """The kernel driver of the devices: the nodes that it must have made, its version, what to do without it."""

    title: Line
    nodes: tuple[HostPath, ...] = ()
    version: Version | None = None
    hint: str = Field(min_length=8)


class Detect(Strict):
    """When the target counts as present; every condition that is given must hold, `always` has none.

    ``pci`` needs at least one device by one of the rules; with ``always`` they only add what else is used.
    """

    always: bool = False
    machine: tuple[str, ...] = ()
    pci: tuple[PciRule, ...] = ()
    soc: SocRule | None = None
    unless_soc: SocRule | None = None
    paths: tuple[str, ...] = ()
    driver: Driver | None = None

    @property
    def says_something(self) -> bool:
        """Whether it can tell a host that has the hardware from one that has not."""
        return bool(self.always or self.machine or self.pci or self.soc or self.paths)


class Variant(Strict):
    """A processor's extension that software uses by itself; the first whose flags are all there names the host."""

    name: Name
    machine: Literal["x86_64", "aarch64"]
    flags: tuple[Name, ...] = Field(min_length=1)
    note: Line = ""


class Arch(Strict):
    """What device code is built for (a compute capability, a gfx number): an axis of the build."""

    choices: tuple[Name, ...] = Field(min_length=1)
    default: Name

    @model_validator(mode="after")
    def _default_is_a_choice(self) -> Self:
        if self.default not in self.choices:
            raise ValueError(f"the default `{self.default}` is not among the choices: {', '.join(self.choices)}")
        return self


class Note(Strict):
    """Something to know of power, clocks or the like that mlorch does not set by itself."""

    topic: Literal["power", "clocks", "memory", "setup", "limits"]
    text: str = Field(min_length=8)
    source: str = Field(min_length=3)
