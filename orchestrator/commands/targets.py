"""`mlorch targets`: the kinds of hardware, and which of them this host has."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options
from orchestrator.commands.groups import ListGroup

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.console import Console
    from orchestrator.definitions.kinds.targets import Target
    from orchestrator.facts.runs import DeviceInjection, InjectedDevice
    from orchestrator.host.checks import Finding
    from orchestrator.host.detect import Presence
    from orchestrator.operations.context import Context


@click.group("targets", cls=ListGroup)
def command() -> None:
    """List and show hardware targets."""


@command.command("list")
@context_options
def list_command(context: Context, console: Console) -> None:
    """List the targets and whether this host has them; * marks the one that `run` would take.

    Three states: the hardware is there, its driver works, the engine can pass it to a
    container. A state is looked at only where the one before holds.
    """
    from orchestrator.operations.targets import list_targets

    found = list_targets(context)
    if console.quiet:
        console.document({"targets": [asdict(each) for each in found.presences]})
        return
    rows = [
        (f"{each.name}{' *' if each.name == found.default else ''}", found.titles[each.name], each.state, each.why)
        for each in found.presences
    ]
    console.table(("target", "title", "here", "why"), rows)


@command.command("show")
@click.argument("name")
@context_options
def show_command(name: str, context: Context, console: Console) -> None:
    """Show a target: its layers, its devices here, what its containers are given and why, what to set on the host."""
    from orchestrator.operations.targets import show_target

    report = show_target(context, name)
    if console.quiet:
        console.document(report.document())
        return
    target = report.entry.definition
    console.result(f"{target.name}: {target.title}")
    if target.description:
        console.result(target.description.strip())
    lines = [
        *recipe_lines(target),
        *here_lines(report.presence),
        *check_lines(report.findings),
        ("recipe", f"{report.entry.path} ({report.entry.origin})"),
    ]
    console.facts(lines)
    if report.injection_error:
        console.result(f"no devices: {report.injection_error}")
    for line in device_injection_lines(report.injection):
        console.result(line)


# -- for people ----------------------------------------------------------------------------

_STATES = {True: "yes", False: "no", None: "-"}
"""A state in a word; `-` is what nothing has looked at."""


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
    present, driver, container = (_STATES[state] for state in (here.present, here.driver_ok, here.container_ok))
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
