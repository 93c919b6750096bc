"""`mlorch assets`: models and datasets on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options
from orchestrator.commands.groups import ListGroup

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.assets import AssetFacts
    from orchestrator.operations.context import Context


@click.group("assets", cls=ListGroup)
def command() -> None:
    """List, get and verify models and datasets. They are kept by content and shared between runs."""


@command.command("list")
@context_options
def list_command(context: Context, console: Console) -> None:
    """List models and datasets: what is here, where it comes from, under which terms."""
    from orchestrator.operations.assets import list_assets

    found = list_assets(context)
    if console.quiet:
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
@context_options
def get_command(names: tuple[str, ...], target: str | None, context: Context, console: Console) -> None:
    """Fetch, check and prepare models and datasets; all of them when none is named."""
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.operations.assets import get_assets

    done = []
    for each in get_assets(context, names, ConsoleProgress(console), target=target):
        done.append(each)
        if not console.quiet:
            console.result(f"{each.kind} {each.name}: {_megabytes(each)} MB in {each.folder}")
    if console.quiet:
        console.document({"assets": done})


@command.command("verify")
@click.argument("names", nargs=-1)
@context_options
def verify_command(names: tuple[str, ...], context: Context, console: Console) -> int:
    """Hash every file of the models and datasets that are here; wrong ones are moved aside. Exit 1 if any is."""
    from orchestrator.operations.assets import verify_assets

    done = []
    for each in verify_assets(context, names):
        done.append(each)
        _show_verified(console, each)
    if console.quiet:
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
