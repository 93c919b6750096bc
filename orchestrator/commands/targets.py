"""`mlorch targets`: the kinds of hardware, and which of them this host has."""

from __future__ import annotations

from dataclasses import asdict

import click

from orchestrator.commands.common import AUTO, json_option, recipes_option
from orchestrator.commands.groups import ListGroup
from orchestrator.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.catalog import Catalog
    from orchestrator.model.definitions import Target
    from orchestrator.system.detect import Judge, Presence
    from orchestrator.system.hostchecks import Finding

_STATES = {True: "yes", False: "no", None: "-"}


@click.group("targets", cls=ListGroup)
def command() -> None:
    """List and show hardware targets."""


@command.command("list")
@recipes_option
@json_option
def list_command(recipes: tuple[str, ...], *, as_json: bool) -> None:
    """List the targets and whether this host has them; * marks the one that `run` would take.

    Three states: the hardware is there, its driver works, the engine can pass it to a
    container. A state is looked at only where the one before holds.
    """
    from orchestrator.commands.wiring import Workbench
    from orchestrator.console import Console

    bench = Workbench(recipes)
    catalog = bench.catalog
    found = presences(catalog, judge=bench.try_judge())
    console = Console(quiet=as_json)
    if as_json:
        console.document({"targets": [asdict(each) for each in found]})
        return
    chosen = _chosen(catalog, found)
    titles = {target.name: target.title for target in all_targets(catalog)}
    rows = [
        (f"{each.name}{' *' if each.name == chosen else ''}", titles[each.name], *_states(each), each.why)
        for each in found
    ]
    console.table(("target", "title", "present", "driver", "container", "why"), rows)


@command.command("show")
@click.argument("name")
@recipes_option
@json_option
def show_command(name: str, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Show a target: its layers, its devices here, what its containers are given and why, what to set on the host."""
    from orchestrator.commands.wiring import Workbench
    from orchestrator.console import Console
    from orchestrator.model.definitions import Target
    from orchestrator.system.accelerators import this_machine
    from orchestrator.system.detect import presence
    from orchestrator.system.hostchecks import check_host, checks_of

    bench = Workbench(recipes)
    entry = bench.catalog.target(name)
    target = entry.definition
    assert isinstance(target, Target)
    console, machine = Console(quiet=as_json), this_machine()
    here = presence(target, machine, bench.try_judge())
    findings = tuple(check_host(checks_of(target, bench.catalog), machine))
    if as_json:
        definition = target.model_dump(mode="json", by_alias=True)
        console.document(
            {
                **asdict(here),
                "checks": [asdict(finding) for finding in findings],
                "path": str(entry.path),
                "origin": entry.origin,
                "definition": definition,
            }
        )
        return
    console.result(f"{target.name}: {target.title}")
    if target.description:
        console.result(target.description.strip())
    facts = [*_facts(target), *_here(here), *_checks(findings), ("recipe", f"{entry.path} ({entry.origin})")]
    width = max(len(label) for label, _ in facts)
    for label, value in facts:
        console.result(f"  {label:{width}}  {value}")


def _facts(target: Target) -> Iterator[tuple[str, str]]:
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


def _here(here: Presence) -> Iterator[tuple[str, str]]:
    """What this host has of it."""
    present, driver, container = _states(here)
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


def _checks(findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    for finding in findings:
        if finding.ok is None:
            yield f"check {finding.name}", f"not visible here ({finding.file})"
        elif finding.ok:
            yield f"check {finding.name}", f"ok: {finding.found}"
        else:
            yield f"check {finding.name}", told(finding)


def told(finding: Finding) -> str:
    """A check that failed, in a line: what there is, what should be, why, what to do."""
    return f"{finding.level}: {finding.found}, better {finding.wanted}: {finding.why} -> {finding.hint}"


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


def all_targets(catalog: Catalog) -> tuple[Target, ...]:
    """The targets of a catalogue by name."""
    from orchestrator.model.definitions import Target

    return tuple(e.definition for e in catalog.entries("target") if isinstance(e.definition, Target))


def presences(catalog: Catalog, judge: Judge | None = None) -> tuple[Presence, ...]:
    """What this host has of every target; without a judge nothing is said of containers."""
    from orchestrator.system import detect

    return detect.presences(all_targets(catalog), judge=judge)


def detected(catalog: Catalog) -> str:
    """The target to use where none is named: the settings', else the best that is here.

    Raises `UsageError` where no target is here.
    """
    chosen = _chosen(catalog, presences(catalog))
    if chosen is None:
        hint = f"name one with --target: {', '.join(catalog.names('target'))}; `mlorch targets` says why"
        raise UsageError("no target was detected on this host", hint=hint, slug="no-target")
    return chosen


def own_platform(catalog: Catalog, name: str) -> str | None:
    """This host's platform where the target has images for it; None otherwise."""
    import os

    from orchestrator.model.definitions import Target
    from orchestrator.system.detect import platform_of

    target = catalog.target(name).definition
    mine = platform_of(os.uname().machine)
    return mine if isinstance(target, Target) and mine in target.platforms else None


def own_arch(catalog: Catalog, name: str) -> str | None:
    """What the target's devices here need their code built for, where all are alike and the target has it."""
    from orchestrator.model.definitions import Target
    from orchestrator.system.detect import presence

    target = catalog.target(name).definition
    if not isinstance(target, Target) or target.arch is None:
        return None
    found = presence(target).archs
    return found[0] if len(found) == 1 and found[0] in target.arch.choices else None


def choice_told(chosen: str, found: Sequence[Presence]) -> str:
    """What was taken by itself and why, and what else is here; '' where there was nothing to choose."""
    here = {each.name: each for each in found if each.present}
    mine = here.pop(chosen, None)
    real = [each for each in here.values() if each.devices]
    if mine is None or not (mine.devices or real):
        return ""
    others = [f"{each.name} ({each.why}{'' if each.usable else '; not usable: ' + each.hint})" for each in real]
    more = f"; also here: {', '.join(others)}; --target takes another" if others else ""
    return f"target {chosen}: {mine.why}{more}"


def _chosen(catalog: Catalog, found: Sequence[Presence]) -> str | None:
    from orchestrator.settings import read_settings
    from orchestrator.system.detect import best

    wish = read_settings().target
    if wish and wish != AUTO:
        return catalog.target(wish).definition.name
    taken = best(all_targets(catalog), found)
    return taken.name if taken else None


def _states(each: Presence) -> tuple[str, str, str]:
    return _STATES[each.present], _STATES[each.driver_ok], _STATES[each.container_ok]
