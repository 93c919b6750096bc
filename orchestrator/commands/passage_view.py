"""How the devices of a target reach a container, in words: for a dry run and `mlorch targets show`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.model.steps import Passage, PassedDevice


def passage_lines(passage: Passage) -> Iterator[str]:
    """The way that was taken and why, each way that was not, and the devices; nothing where none are passed."""
    if passage.way == "none":
        return
    yield f"devices by {passage.way}: {passage.why}"
    for reason in passage.passed_over:
        yield f"  not by {reason}"
    for device in passage.devices:
        yield f"  device {device_words(device)}"


def device_words(device: PassedDevice) -> str:
    """One device for people: its index, what the host says of it, and what the engine is asked for."""
    facts = (device.product, device.profile, device.pci, device.uuid)
    known = ", ".join(fact for fact in facts if fact)
    return f"{device.index}{f' ({known})' if known else ''} as {device.name or 'what the engine makes of it'}"
