"""Lays out the machines of tests/machines below a folder, as /sys, /proc and /dev show them.

A machine file has `cpu` (flags of /proc/cpuinfo, or `arm: true`), `files`, `nodes`, `links` and
`devices`: each `pci: [address, vendor:device, class, driver, memory node]`, and `rows` with
templates for what repeats. `/sys/bus/pci/devices/X` is a link into /sys/devices, as on a real
machine. `expect` says what every target is: absent where it is not named.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MACHINES = Path(__file__).parents[1] / "machines"
NAMES = sorted(path.stem for path in MACHINES.glob("*.yaml"))


def machine_file(name: str) -> dict[str, Any]:
    found = yaml.safe_load((MACHINES / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def lay_out(name: str, root: Path) -> dict[str, Any]:
    """The machine `name` below `root`; gives what its file says."""
    spec = machine_file(name)
    write(root, "proc/cpuinfo", cpuinfo(spec))
    lay_out_parts(spec, root)
    return spec


def lay_out_parts(spec: dict[str, Any], root: Path) -> None:
    for device in spec.get("pci", ()):
        pci(root, *device)
    for place, text in spec.get("files", {}).items():
        write(root, place, text)
    for node in spec.get("nodes", ()):
        write(root, node, "")
    for group in spec.get("groups", ()):
        for row in group["rows"]:
            lay_out_parts(filled(group["each"], row), root)


def filled(template: Any, row: dict[str, Any]) -> Any:
    """The template with the row's values in every text."""
    if isinstance(template, str):
        return template.format(**row)
    if isinstance(template, list):
        return [filled(item, row) for item in template]
    if isinstance(template, dict):
        return {filled(key, row): filled(value, row) for key, value in template.items()}
    return template


def pci(root: Path, address: str, ids: str, pci_class: str, driver: str = "", numa: int | str = -1) -> Path:
    """One function on the bus."""
    vendor, _, device = ids.partition(":")
    folder = root / f"sys/devices/pci0000:00/{address}"
    for name, text in (("vendor", f"0x{vendor}"), ("device", f"0x{device}"), ("class", f"0x{pci_class}")):
        write(folder, name, text)
    write(folder, "numa_node", str(numa))
    if driver:
        place = root / f"sys/bus/pci/drivers/{driver}"
        place.mkdir(parents=True, exist_ok=True)
        (folder / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")
    bus = root / "sys/bus/pci/devices"
    bus.mkdir(parents=True, exist_ok=True)
    (bus / address).symlink_to(f"../../../devices/pci0000:00/{address}")
    return folder


def cpuinfo(spec: dict[str, Any]) -> str:
    cpu = spec.get("cpu", {})
    if cpu.get("arm"):
        return f"processor\t: 0\nFeatures\t: {cpu.get('flags', 'fp asimd')}\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f"
    model, flags = cpu.get("model", "A processor"), cpu.get("flags", "fpu avx2 fma")
    return f"processor\t: 0\nmodel name\t: {model}\nflags\t\t: {flags}"


def write(root: Path, place: str, text: str) -> None:
    """A file; one that begins with `-> ` is a link."""
    path = root / place.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    if text.startswith("-> "):
        path.symlink_to(text.removeprefix("-> "))
    elif text == "folder":
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.write_text(f"{text}\n", encoding="utf-8")
