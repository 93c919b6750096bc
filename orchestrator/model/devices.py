"""Accelerators as a host shows them: found by detection, chosen and passed on by the plan of a run."""

from __future__ import annotations

from dataclasses import dataclass


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
