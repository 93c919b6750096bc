"""Parts that tests of a run's devices share: a target with chips, a host that has four, and what is planned of them."""

from __future__ import annotations

from dataclasses import replace

from run_parts import a_target

from orchestrator.facts.devices import CdiDevice, DeviceInventory, FoundDevice, Node, Part
from orchestrator.plan.run.devices import plan_devices

USER = "1000:1000"
WHY = {"reason": "the tests need it"}
NODES = [
    {"name": "/dev/chip[0-9]*", "each": True, **WHY},
    {"name": "/dev/chipctl", **WHY},
    {"name": "/dev/chip-tools", "optional": True, **WHY},
]
VISIBLE = [
    {"name": "CHIP_VISIBLE", "by": "index"},
    {"name": "CHIP_HOST", "by": "host-index"},
    {"name": "CHIP_UUID", "by": "uuid"},
    {"name": "CHIP_PCI", "by": "pci"},
]
EVERY_WAY = {
    "cdi": "example.com/chip", "gpus": True, "nodes": NODES, "visible": VISIBLE,
    "runtime": {"name": "chiprun", "env": "CHIP_DEVICES", **WHY},
    "groups": [{"name": "render", **WHY}, {"name": "video", "optional": True, **WHY}],
}  # fmt: skip


def chip(index: int, **more) -> FoundDevice:
    given = {
        "target": "chip", "pci": f"0000:{index + 0x3A:02x}:00.0", "uuid": f"GPU-{index}{index}{index}{index}",
        "product": "Chip One", "numa_node": index // 2, "nodes": (f"/dev/chip{index}",),
    }  # fmt: skip
    return FoundDevice(index=index, **{**given, **more})


FOUR = tuple(chip(index) for index in range(4))
CUT = chip(0, parts=tuple(Part(uuid=f"MIG-{i}", index=i, profile="1g.10gb", nodes=(f"/dev/cap{i}",)) for i in (0, 1)))


def target(**passthrough):
    return a_target(name="chip", passthrough={**EVERY_WAY, **passthrough})


def a_device_inventory(**more) -> DeviceInventory:
    """A host with four chips, group-owned nodes, and an engine that can do nothing special."""
    paths = [*(f"/dev/chip{index}" for index in range(4)), "/dev/chipctl", "/dev/cap0", "/dev/cap1"]
    site = DeviceInventory(
        found=FOUR,
        nodes={"/dev/chip[0-9]*": tuple(paths[:4]), "/dev/chipctl": ("/dev/chipctl",)},
        facts={path: Node(path=path, gid=105, mode=0o660, major=240, minor=i) for i, path in enumerate(paths)},
        groups={"render": "105", "video": "44"},
        engine="docker",
    )
    return replace(site, **more)


def cdi(*shorts: str, **more) -> tuple[CdiDevice, ...]:
    return tuple(CdiDevice(name=f"example.com/chip={short}", spec="/etc/cdi/chip.json", **more) for short in shorts)


def planned(selection="", site=None, user=USER, **passthrough):
    return plan_devices(target(**passthrough), site or a_device_inventory(), selection, user)


def labels(devices) -> list[str]:
    return [device.index for device in devices.device_injection.devices]
