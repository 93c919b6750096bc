"""`mlorch targets`: the kinds of hardware, and which of them this host has."""

from __future__ import annotations

from dataclasses import asdict

import click

from orchestrator.commands.common import json_option, recipes_option
from orchestrator.commands.groups import ListGroup


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
    from orchestrator.commands.common import context_for
    from orchestrator.console import Console
    from orchestrator.operations.targets import list_targets

    console = Console(quiet=as_json)
    found = list_targets(context_for(console, recipes))
    if as_json:
        console.document({"targets": [asdict(each) for each in found.presences]})
        return
    rows = [
        (f"{each.name}{' *' if each.name == found.default else ''}", found.titles[each.name], each.state, each.why)
        for each in found.presences
    ]
    console.table(("target", "title", "here", "why"), rows)


@command.command("show")
@click.argument("name")
@recipes_option
@json_option
def show_command(name: str, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Show a target: its layers, its devices here, what its containers are given and why, what to set on the host."""
    from orchestrator.commands.common import context_for
    from orchestrator.commands.device_view import device_injection_lines
    from orchestrator.commands.targets_view import check_lines, here_lines, recipe_lines
    from orchestrator.console import Console
    from orchestrator.operations.targets import show_target

    console = Console(quiet=as_json)
    report = show_target(context_for(console, recipes), name)
    if as_json:
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
