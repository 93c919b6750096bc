"""A target as `mlorch targets show` prints it: what its recipe says, what this host has, what is worth changing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.definitions.kinds.recipes import Target
    from orchestrator.host.checks import Finding
    from orchestrator.host.detect import Presence

_STATES = {True: "yes", False: "no", None: "-"}


def recipe_lines(target: Target) -> Iterator[tuple[str, str]]:
    """What the recipe says, a line each."""
    yield "platforms", ", ".join(target.platforms)
    if target.arch:
        others = ", ".join(target.arch.choices)
        yield "arch", f"{target.arch.default} (--arch takes {others})"
    yield "layers", f"{target.base} <- {target.runtime}"
    yield "frameworks", ", ".join(f"{framework} ({layer})" for framework, layer in target.frameworks.items())
    yield from _passthrough(target)
    for extra in target.capabilities:
        yield f"capability {extra.name}", extra.reason
    for limit, value in target.ulimits.items():
        yield f"limit {limit}", value
    yield "shared memory", target.shm
    for note in target.notes:
        yield f"note on {note.topic}", f"{note.text.strip()} [{note.source}]"


def here_lines(here: Presence) -> Iterator[tuple[str, str]]:
    """What this host has of it."""
    present, driver, container = states(here)
    yield "here", f"present {present}, driver {driver}, container {container}: {here.why}"
    if here.hint:
        yield "what to do", here.hint
    if here.how:
        yield "passed by", here.how
    if here.variant:
        yield "processor has", here.variant
    for device in here.devices:
        numa = f"memory node {device.numa_node}" if device.numa_node is not None else ""
        parts = f"{len(device.parts)} parts" if device.parts else ""
        words = (device.pci, device.product, device.driver, device.uuid, numa, *device.nodes, parts)
        yield f"device {device.index}", " ".join(filter(None, words))


def check_lines(findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    """What the checks of the host found; one that failed says what should be, why, and what to do."""
    for finding in findings:
        if finding.ok is None:
            yield f"check {finding.name}", f"not visible here ({finding.file})"
        elif finding.ok:
            yield f"check {finding.name}", f"ok: {finding.found}"
        else:
            words = f"{finding.level}: {finding.found}, better {finding.wanted}: {finding.why} -> {finding.hint}"
            yield f"check {finding.name}", words


def _passthrough(target: Target) -> Iterator[tuple[str, str]]:
    """What containers get of the host's devices, a line each with its reason."""
    given = target.passthrough
    if given.cdi:
        yield "CDI", f"{given.cdi}=NAME, where the engine and a spec know the device"
    if given.gpus:
        yield "--gpus", "where the engine has the vendor's hook"
    if given.runtime:
        yield f"runtime {given.runtime.name}", f"{given.runtime.env}: {given.runtime.reason}"
    for node in given.nodes:
        words = ("of each device" if node.each else "shared", *(("if there",) if node.optional else ()))
        yield f"device {node.name}", f"{', '.join(words)}: {node.reason}"
    for library in given.libraries:
        yield f"library {library.name}", library.reason
    for group in given.groups:
        yield f"group {group.name}", group.reason
    for variable in given.visible:
        yield f"variable {variable.name}", f"the chosen devices by {variable.by}"


def states(each: Presence) -> tuple[str, str, str]:
    """The three states in a word each: yes, no, or - for what nothing has looked at."""
    return _STATES[each.present], _STATES[each.driver_ok], _STATES[each.container_ok]
