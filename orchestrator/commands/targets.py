"""`mlorch targets`: the kinds of hardware, and which of them this host has."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import AUTO, json_option, recipes_option
from orchestrator.commands.groups import ListGroup
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.catalog import Catalog
    from orchestrator.definitions.kinds.recipes import Target
    from orchestrator.engines import EngineFacts
    from orchestrator.facts.devices import FoundDevice
    from orchestrator.facts.steps import DeviceInjection
    from orchestrator.host.detect import Judge, Passable, Presence


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
    from orchestrator.commands.targets_view import state
    from orchestrator.console import Console
    from orchestrator.operations.context import Context

    context = Context(recipes)
    catalog = context.catalog
    found = presences(catalog, judge(context.try_facts()))
    console = Console(quiet=as_json)
    if as_json:
        console.document({"targets": [asdict(each) for each in found]})
        return
    chosen = _chosen(catalog, found)
    titles = {target.name: target.title for target in all_targets(catalog)}
    rows = [
        (f"{each.name}{' *' if each.name == chosen else ''}", titles[each.name], state(each), each.why)
        for each in found
    ]
    console.table(("target", "title", "here", "why"), rows)


@command.command("show")
@click.argument("name")
@recipes_option
@json_option
def show_command(name: str, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Show a target: its layers, its devices here, what its containers are given and why, what to set on the host."""
    from orchestrator.commands.device_view import device_injection_lines
    from orchestrator.commands.targets_view import check_lines, here_lines, recipe_lines
    from orchestrator.console import Console
    from orchestrator.host.accelerators import this_machine
    from orchestrator.host.checks import check_host, checks_of
    from orchestrator.host.detect import presence
    from orchestrator.operations.context import Context

    context = Context(recipes)
    entry = context.catalog.target(name)
    target = entry.definition
    console, machine, engine = Console(quiet=as_json), this_machine(), context.try_facts()
    here = presence(target, machine, judge(engine))
    device_injection, why_none = _device_injection(target, here.devices, engine)
    findings = tuple(check_host(checks_of(target, context.catalog), machine))
    if as_json:
        document = {
            **asdict(here),
            "checks": [asdict(finding) for finding in findings],
            "path": str(entry.path),
            "origin": entry.origin,
            "definition": target.model_dump(mode="json", by_alias=True),
            "passage": {**asdict(device_injection), "error": why_none},
        }
        console.document(document)
        return
    console.result(f"{target.name}: {target.title}")
    if target.description:
        console.result(target.description.strip())
    lines = [
        *recipe_lines(target),
        *here_lines(here),
        *check_lines(findings),
        ("recipe", f"{entry.path} ({entry.origin})"),
    ]
    console.facts(lines)
    for line in (f"no devices: {why_none}",) if why_none else device_injection_lines(device_injection):
        console.result(line)


def judge(engine: EngineFacts | None) -> Judge | None:
    """Says whether ``engine`` can pass a target's devices to containers; None where no engine answered."""
    if engine is None:
        return None

    def say(target: Target, devices: Sequence[FoundDevice]) -> Passable:
        from orchestrator.errors import MlorchError
        from orchestrator.host.detect import Passable

        try:
            device_injection = _planned(target, devices, engine)
        except MlorchError as error:
            return Passable(ok=False, trouble=error.message, hint=error.hint)
        return Passable(
            ok=True,
            how="" if device_injection.method == "none" else f"{device_injection.method}: {device_injection.why}",
        )

    return say


def _device_injection(
    target: Target, devices: Sequence[FoundDevice], engine: EngineFacts | None
) -> tuple[DeviceInjection, str]:
    """How the devices of the target would be passed here, and why they cannot be."""
    from orchestrator.errors import MlorchError
    from orchestrator.facts.steps import DeviceInjection

    try:
        return _planned(target, devices, engine), ""
    except MlorchError as error:
        return DeviceInjection(), error.message


def _planned(target: Target, devices: Sequence[FoundDevice], engine: EngineFacts | None) -> DeviceInjection:
    import os

    from orchestrator.operations.device_inventory import device_inventory
    from orchestrator.plan.run.devices import plan_devices

    site = device_inventory([target], devices, engine)
    return plan_devices(target, site, "", f"{os.getuid()}:{os.getgid()}").device_injection


def all_targets(catalog: Catalog) -> tuple[Target, ...]:
    """The targets of a catalogue by name."""
    return tuple(entry.definition for entry in catalog.targets())


def presences(catalog: Catalog, judged: Judge | None = None) -> tuple[Presence, ...]:
    """What this host has of every target; without a judge nothing is said of containers."""
    from orchestrator.host import detect

    return detect.presences(all_targets(catalog), judge=judged)


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

    from orchestrator.host.detect import platform_of

    target = catalog.target(name).definition
    mine = platform_of(os.uname().machine)
    return mine if mine in target.platforms else None


def own_arch(catalog: Catalog, name: str) -> str | None:
    """What the target's devices here need their code built for, where all are alike and the target has it."""
    from orchestrator.host.detect import presence

    target = catalog.target(name).definition
    if target.arch is None:
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
    from orchestrator.definitions.settings import read_settings
    from orchestrator.host.detect import best

    named = read_settings().target
    if named and named != AUTO:
        return catalog.target(named).definition.name
    taken = best(all_targets(catalog), found)
    return taken.name if taken else None
