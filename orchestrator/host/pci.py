"""What is on the PCI bus, from /sys/bus/pci below a root folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from orchestrator.host.sysfs import link_name, text_of

_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class PciDevice:
    """One function on the bus: ids and class as hex digits without ``0x``, ``driver`` empty where none is bound."""

    address: str
    vendor: str
    device: str
    pci_class: str
    driver: str = ""
    numa_node: int | None = None


def pci_devices(root: Path = Path("/")) -> tuple[PciDevice, ...]:
    """Every function in the order of its address; nothing where the machine has no PCI bus or hides it."""
    bus = root / "sys/bus/pci/devices"
    try:
        names = sorted(path.name for path in bus.iterdir() if _ADDRESS.match(path.name))
    except OSError:
        return ()
    found = (_device(bus / name) for name in sorted(names, key=_order))
    return tuple(device for device in found if device is not None)


def _order(address: str) -> tuple[int, ...]:
    """Domains may have more than four digits (VMD), so addresses are compared as numbers."""
    return tuple(int(part, 16) for part in re.split(r"[:.]", address))


def _device(folder: Path) -> PciDevice | None:
    vendor, device = _hex(folder / "vendor"), _hex(folder / "device")
    if not vendor or not device:
        return None
    node = text_of(folder / "numa_node")
    return PciDevice(
        address=folder.name,
        vendor=vendor,
        device=device,
        pci_class=_hex(folder / "class"),
        driver=link_name(folder / "driver"),
        # The kernel says -1 where the firmware names no node.
        numa_node=int(node) if node.isdigit() else None,
    )


def _hex(path: Path) -> str:
    return text_of(path).lower().removeprefix("0x")
