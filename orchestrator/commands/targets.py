"""`mlorch targets`: the kinds of hardware, and which of them this host has."""

from __future__ import annotations

from dataclasses import asdict

import click

from orchestrator.commands.common import json_option, recipes_option
from orchestrator.commands.groups import ListGroup
from orchestrator.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.catalog import Catalog
    from orchestrator.engines import EngineFacts
    from orchestrator.model.definitions import Target
    from orchestrator.model.steps import Passage
    from orchestrator.system.detect import Presence


@click.group("targets", cls=ListGroup)
def command() -> None:
    """List and show hardware targets."""


@command.command("list")
@recipes_option
@json_option
def list_command(recipes: tuple[str, ...], *, as_json: bool) -> None:
    """List the targets and whether this host has them; * marks the one that `run` would take."""
    from orchestrator.commands.wiring import Workbench
    from orchestrator.console import Console

    catalog = Workbench(recipes).catalog
    found = presences(catalog)
    console = Console(quiet=as_json)
    if as_json:
        console.document({"targets": [asdict(each) for each in found]})
        return
    chosen = _chosen(catalog)
    titles = {target.name: target.title for target in all_targets(catalog)}
    rows = [
        (f"{each.name}{' *' if each.name == chosen else ''}", titles[each.name], _word(each), each.why)
        for each in found
    ]
    console.table(("target", "title", "here", "why"), rows)


@command.command("show")
@click.argument("name")
@recipes_option
@json_option
def show_command(name: str, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Show a target: its layers, what its containers are given and why."""
    from orchestrator.commands.passage_view import passage_lines
    from orchestrator.commands.wiring import Workbench
    from orchestrator.console import Console
    from orchestrator.model.definitions import Target
    from orchestrator.system.detect import presence

    catalog = Workbench(recipes).catalog
    entry = catalog.target(name)
    target = entry.definition
    assert isinstance(target, Target)
    console = Console(quiet=as_json)
    here = presence(target)
    passage, why_none = _passage(target)
    if as_json:
        definition = target.model_dump(mode="json", by_alias=True)
        more = {"path": str(entry.path), "origin": entry.origin, "definition": definition}
        ways = {**asdict(passage), "error": why_none}
        console.document({**asdict(here), **more, "passage": ways})
        return
    console.result(f"{target.name}: {target.title}")
    if target.description:
        console.result(target.description.strip())
    frameworks = ", ".join(f"{framework} ({layer})" for framework, layer in target.frameworks.items())
    facts = [
        ("here", f"{_word(here)}: {here.why}"),
        ("platforms", ", ".join(target.platforms)),
        ("layers", f"{target.base} <- {target.runtime}"),
        ("frameworks", frameworks),
        *_passthrough(target),
        *((f"capability {extra.name}", extra.reason) for extra in target.capabilities),
        *((f"limit {limit}", value) for limit, value in target.ulimits.items()),
        ("shared memory", target.shm),
        ("recipe", f"{entry.path} ({entry.origin})"),
    ]
    width = max(len(label) for label, _ in facts)
    for label, value in facts:
        console.result(f"  {label:{width}}  {value}")
    for line in (f"no devices: {why_none}",) if why_none else passage_lines(passage):
        console.result(line)


def _passage(target: Target) -> tuple[Passage, str]:
    """How the devices of the target would be passed here, and why they cannot be."""
    import os

    from orchestrator.commands.device_site import device_site
    from orchestrator.commands.run_plan import found_devices
    from orchestrator.errors import MlorchError
    from orchestrator.model.steps import Passage
    from orchestrator.plan_devices import plan_devices

    if target.passthrough.empty:
        return Passage(), ""
    try:
        site = device_site([target], found_devices([target]), _engine_facts())
        return plan_devices(target, site, "", f"{os.getuid()}:{os.getgid()}").passage, ""
    except MlorchError as error:
        return Passage(), error.message


def _engine_facts() -> EngineFacts | None:
    from orchestrator.commands.wiring import Workbench
    from orchestrator.errors import MlorchError

    try:
        return Workbench().engine.facts()
    except MlorchError:
        return None


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


def presences(catalog: Catalog) -> tuple[Presence, ...]:
    """What this host has of every target."""
    from orchestrator.system.detect import presence

    return tuple(presence(target) for target in all_targets(catalog))


def detected(catalog: Catalog) -> str:
    """The target to use where none is named: the settings', else the best that is here.

    Raises `UsageError` where no target is here.
    """
    chosen = _chosen(catalog)
    if chosen is None:
        hint = f"name one with --target: {', '.join(catalog.names('target'))}; `mlorch targets` says why"
        raise UsageError("no target was detected on this host", hint=hint, slug="no-target")
    return chosen


def _chosen(catalog: Catalog) -> str | None:
    from orchestrator.settings import read_settings
    from orchestrator.system.detect import best

    wish = read_settings().target
    if wish:
        return catalog.target(wish).definition.name
    found = best(all_targets(catalog))
    return found.name if found else None


def _word(each: Presence) -> str:
    return "yes" if each.present else "no"
