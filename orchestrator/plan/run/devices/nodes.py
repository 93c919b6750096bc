"""Which device nodes of a recipe are an accelerator's, by what the kernel says of them. Pure.

A glob in a recipe of somebody else's (``/dev/m*``) means whatever this host has there. What is known to lead to the
host itself is never passed; of what is not known to be an accelerator's driver a run says so before it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import HostLimitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.definitions.kinds.targets import Passthrough
    from orchestrator.facts.devices import DeviceInventory, Node

_MEMORY = frozenset({(1, 1), (1, 2), (1, 4)})
"""Major and minor of /dev/mem, /dev/kmem and /dev/port, whatever name leads to them."""
_NOBODYS = frozenset({(1, 3), (1, 5), (1, 7)})
"""/dev/null, /dev/zero and /dev/full, which every container has: they lead nowhere, and are no accelerator's."""
_OF_THE_HOST = {
    "mem": "the kernel's memory, log or random numbers", "tty": "a terminal", "vc": "a screen of the console",
    "vtconsole": "the console", "input": "keyboards and mice", "msr": "registers of the processors",
    "cpuid": "registers of the processors", "hidraw": "keyboards and other input", "usb": "a bus of the host",
    "usb_device": "a bus of the host", "usbmon": "a bus of the host", "sound": "a sound card",
    "video4linux": "a camera", "bsg": "a disk's controller", "scsi_generic": "a disk", "nvme": "a disk's controller",
    "nvme-generic": "a disk", "tpm": "the host's security chip", "tpmrm": "the host's security chip",
    "ipmi": "the host's management", "watchdog": "the host's watchdog", "rtc": "the host's clock",
    "ptp": "the host's clock", "pps": "the host's clock", "ppp": "a network device", "i2c-dev": "a bus of the host",
    "spidev": "a bus of the host", "gpio": "pins of the host", "mei": "the host's management", "raw": "a disk",
    "virtio-ports": "a channel to the hypervisor", "graphics": "a screen", "vhost-vdpa": "a network device",
}  # fmt: skip
"""Subsystems of the kernel by name, and what a node of each is."""
_MISC_OF_THE_HOST = {
    "autofs": "mounts of the host", "btrfs-control": "disks", "cachefiles": "mounts of the host",
    "cpu_dma_latency": "the host's power management", "device-mapper": "disks", "fuse": "mounts of the host",
    "hpet": "the host's clock", "hw_random": "the host's random numbers", "kvm": "virtual machines",
    "loop-control": "disks", "mcelog": "the host's errors", "nvram": "the host's firmware", "rfkill": "radios",
    "sev": "virtual machines", "snapshot": "the host's memory", "tun": "networks of the host", "uhid": "keyboards",
    "uinput": "keyboards", "userfaultfd": "page faults", "vga_arbiter": "screens", "vhost-net": "networks of the host",
    "vhost-vsock": "a channel to the hypervisor", "vmci": "a channel to the hypervisor",
    "vsock": "a channel to the hypervisor", "watchdog": "the host's watchdog",
}  # fmt: skip
"""The same for nodes of the subsystem ``misc``, by their own name."""
_OF_ACCELERATORS = frozenset(
    {
        "accel", "apex", "drm", "habanalabs", "hailo_chardev", "infiniband", "infiniband_mad", "infiniband_verbs",
        "kfd", "neuron_device", "nvidia", "nvidia-caps", "nvidia-nvswitch", "nvidia-uvm", "qaic", "vfio", "xdna",
    }
)  # fmt: skip


def require_of_a_device(path: str, facts: Mapping[str, Node]) -> None:
    """Raise `HostLimitError` [device-kind] for what is no character device, or is one of the host itself."""
    node = facts.get(path)
    if node is None:
        return
    what = _kind(node) or _of_the_host(node)
    if what:
        raise HostLimitError(
            f"{path} is {what}; only the character devices of an accelerator are ever passed",
            hint="correct the node's name in the target's recipe: `mlorch recipes lint`",
            slug="device-kind",
        )


def _kind(node: Node) -> str:
    if node.kind == "c":
        return "the memory of the host" if (node.major, node.minor) in _MEMORY else ""
    return {"b": "a disk (a block device)", "d": "a folder"}.get(node.kind, "no device")


def _of_the_host(node: Node) -> str:
    """What of the host a node leads to; empty where none of that is known."""
    if (node.major, node.minor) in _NOBODYS:
        return ""
    if node.subsystem == "misc":
        return _MISC_OF_THE_HOST.get(node.name, "")
    return _OF_THE_HOST.get(node.subsystem, "")


def doubtful_nodes(passthrough: Passthrough, inventory: DeviceInventory) -> tuple[str, ...]:
    """Words for each node that the recipe has passed and that is not known to be an accelerator's driver's.

    A driver that tells the kernel no subsystem (NVIDIA's before 580) is known by a device that was found with it.
    """
    drivers = {device.driver for device in inventory.found if device.driver}
    own = {path for device in inventory.found for path in device.nodes}
    found = []
    for wanted in passthrough.nodes:
        for path in inventory.nodes.get(wanted.name, ()):
            node = inventory.facts.get(path)
            if node is None or path in own or _is_known(node, drivers):
                continue
            what = f"of the kernel's `{node.subsystem}`" if node.subsystem else "of a driver that says nothing of it"
            found.append(f"{path} ({what}) is passed to the container: {wanted.reason}")
    return tuple(found)


def _is_known(node: Node, drivers: Iterable[str]) -> bool:
    if node.subsystem in _OF_ACCELERATORS or node.driver in drivers:
        return True
    if node.subsystem == "misc":
        return node.name == "vfio" or any(node.name.startswith(driver) for driver in drivers)
    return not node.subsystem and any(node.path.startswith(f"/dev/{driver}") for driver in drivers)
