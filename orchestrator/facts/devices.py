"""Accelerators as a host shows them: found by detection, chosen and passed on by the plan of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A slice of a device that is used like one (a MIG instance): its UUID, the slot in its parent, its own nodes."""

    uuid: str
    index: int
    profile: str = ""
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDevice:
    """One device of a target on this host.

    ``index`` counts the target's devices from 0 in PCI order; ``pci`` is the address
    (``0000:3b:00.0``), empty for a device that is not on PCI; ``driver`` the kernel
    driver bound to it, empty for none; ``nodes`` the device nodes that are its own
    (shared ones such as /dev/kfd are the target's); ``uuid``, ``product`` and ``numa_node``
    are empty or None where the host does not say.
    """

    target: str
    index: int
    pci: str = ""
    vendor: str = ""
    device: str = ""
    product: str = ""
    driver: str = ""
    numa_node: int | None = None
    uuid: str = ""
    nodes: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One thing that can be chosen and passed: a device, or a part of one."""

    device: FoundDevice
    part: Part | None = None

    @property
    def label(self) -> str:
        """The index as people and vendors write it: ``2``, or ``2:1`` for part 1 of device 2."""
        return str(self.device.index) if self.part is None else f"{self.device.index}:{self.part.index}"

    @property
    def uuid(self) -> str:
        """Its own UUID; empty where the host does not say."""
        return self.device.uuid if self.part is None else self.part.uuid

    @property
    def nodes(self) -> tuple[str, ...]:
        """The device nodes that are its own; a part needs those of its device too."""
        return self.device.nodes if self.part is None else (*self.device.nodes, *self.part.nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A file below /dev as it is on the host: ``kind`` is c, b or another letter of `ls`, ``mode`` the rights.

    ``subsystem``, ``driver`` and ``name`` are the kernel's words for it (/sys/dev/char), empty where it has none.
    """

    path: str
    kind: str = "c"
    uid: int = 0
    gid: int = 0
    mode: int = 0o666
    major: int = 0
    minor: int = 0
    subsystem: str = ""
    driver: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiDevice:
    """A device that the engine can be asked for by its CDI name (``nvidia.com/gpu=0``).

    ``nodes`` are the host's nodes that are its own; ``shared`` those that the spec gives
    with every device; ``files`` are what it mounts of the host. All are empty where only the engine knows
    it. ``spec`` is the file.
    """

    name: str
    nodes: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    spec: str = ""

    @property
    def kind(self) -> str:
        """Vendor and class."""
        return self.name.partition("=")[0]

    @property
    def short(self) -> str:
        """The name within its kind."""
        return self.name.partition("=")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInventory:
    """What the planning of devices needs to know of a host and its engine.

    ``found`` are the devices of all targets that are here; ``nodes`` the nodes that match each
    pattern of the target; ``facts`` what is known of nodes by path; ``groups`` the host's group
    numbers by name; ``libraries`` the host's files by library name. ``cdi`` says whether the
    engine takes CDI names, ``gpus`` whether its `--gpus` works, ``runtimes`` names its OCI
    runtimes. Without ``engine`` (its name) nobody was asked: a dry run then shows what would be tried.
    ``machine`` is what uname calls the processor.
    """

    found: tuple[FoundDevice, ...] = ()
    nodes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    facts: Mapping[str, Node] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    cdi: bool = False
    cdi_devices: tuple[CdiDevice, ...] = ()
    gpus: bool = False
    runtimes: tuple[str, ...] = ()
    engine: str = ""
    machine: str = "x86_64"
