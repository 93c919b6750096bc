"""How the devices of a target reach a container, in words: for a dry run and `mlorch targets show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.facts.runs import DeviceInjection, InjectedDevice


def device_injection_lines(device_injection: DeviceInjection) -> Iterator[str]:
    """The way that was taken and why, each way that was not, and the devices; nothing where none are passed."""
    if device_injection.method == "none":
        return
    yield f"devices by {device_injection.method}: {device_injection.why}"
    for reason in device_injection.passed_over:
        yield f"  not by {reason}"
    for device in device_injection.devices:
        yield f"  device {device_words(device)}"


def device_words(device: InjectedDevice) -> str:
    """One device for people: its index, what the host says of it, and what the engine is asked for."""
    facts = (device.product, device.profile, device.pci, device.uuid)
    known = ", ".join(fact for fact in facts if fact)
    return f"{device.index}{f' ({known})' if known else ''} as {device.name or 'what the engine makes of it'}"
