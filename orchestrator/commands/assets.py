"""`mlorch assets`: models and datasets on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_for, json_option, recipes_option
from orchestrator.commands.groups import ListGroup

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.assets import AssetFacts


@click.group("assets", cls=ListGroup)
def command() -> None:
    """List, get and verify models and datasets. They are kept by content and shared between runs."""


@command.command("list")
@recipes_option
@json_option
def list_command(recipes: tuple[str, ...], *, as_json: bool) -> None:
    """List models and datasets: what is here, where it comes from, under which terms."""
    from orchestrator.console import Console
    from orchestrator.operations.assets import list_assets

    console = Console(quiet=as_json)
    found = list_assets(context_for(console, recipes))
    if as_json:
        console.document({"assets": found})
        return
    rows = [
        (each.kind, each.name, each.state, _megabytes(each), "; ".join(each.sources), "; ".join(each.licences))
        for each in found
    ]
    console.table(("kind", "name", "state", "MB", "from", "licence"), rows, right=(3,))


@command.command("get")
@click.argument("names", nargs=-1)
@click.option(
    "--target", "-t", default=None, metavar="NAME", help="Whose prep image prepares them (default: detected)."
)
@recipes_option
@json_option
def get_command(names: tuple[str, ...], target: str | None, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Fetch, check and prepare models and datasets; all of them when none is named."""
    from orchestrator.commands.progress import ConsoleProgress
    from orchestrator.console import Console
    from orchestrator.operations.assets import get_assets

    console = Console(quiet=as_json)
    done = []
    for each in get_assets(context_for(console, recipes), names, ConsoleProgress(console), target=target):
        done.append(each)
        if not as_json:
            console.result(f"{each.kind} {each.name}: {_megabytes(each)} MB in {each.folder}")
    if as_json:
        console.document({"assets": done})


@command.command("verify")
@click.argument("names", nargs=-1)
@recipes_option
@json_option
def verify_command(names: tuple[str, ...], recipes: tuple[str, ...], *, as_json: bool) -> int:
    """Hash every file of the models and datasets that are here; wrong ones are moved aside. Exit 1 if any is."""
    from orchestrator.console import Console
    from orchestrator.operations.assets import verify_assets

    console = Console(quiet=as_json)
    done = []
    for each in verify_assets(context_for(console, recipes), names):
        done.append(each)
        _show_verified(console, each)
    if as_json:
        console.document({"assets": done})
    return 1 if any(each.state == "wrong" for each in done) else 0


def _show_verified(console: Console, each: AssetFacts) -> None:
    if each.state == "absent":
        console.say(f"absent   {each.name}")
    elif each.state == "wrong":
        console.say(f"WRONG    {each.name}: {', '.join(each.wrong or ())}; moved to {each.folder}", style="red")
    elif not console.quiet:
        console.result(f"verified {each.name}: {_megabytes(each)} MB")


def _megabytes(each: AssetFacts) -> str:
    return "" if each.bytes is None else f"{each.bytes / 1e6:.1f}"
