"""`mlorch images rebuild`: build layers again without any cache, and show that they come out the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options, selection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.images.rebuild import Rebuilt
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection


@click.command("rebuild")
@click.argument("layers", nargs=-1, metavar="[LAYER]…")
@selection_options
@click.option("--verify", is_flag=True, help="Compare with the images that are there, and leave those as they are.")
@context_options
def rebuild(
    context: Context, console: Console, layers: tuple[str, ...], chosen: Sequence[Selection], *, verify: bool
) -> int:
    """Build LAYERs (default: all of the selection) again without any cache.

    With --verify each is compared with the image that is there: identical, or the first
    file that differs and in what, or the first field of the configuration. Exit status 1
    when one differs in more than its compression. Without it the new images take the place of the old ones.
    """
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.operations.images.rebuild import rebuild

    done: list[Rebuilt] = []
    for found in rebuild(context, chosen, ConsoleProgress(console), layers=layers, verify=verify):
        done += found
        if not console.quiet:
            show(console, found)
    if console.quiet:
        console.document({"layers": done})
    return 1 if any(one.state == "differs" for one in done) else 0


def show(console: Console, outcomes: Sequence[Rebuilt]) -> None:
    """A line a layer; where it differs, what was there before and the first difference."""
    width = max(len(outcome.name) for outcome in outcomes)
    for outcome in outcomes:
        console.result(f"  {outcome.state:12} {outcome.name:{width}}  {outcome.rebuilt}  {outcome.seconds:6.1f} s")
        if outcome.state in {"differs", "same-content"}:
            console.result(f"{'':15}there: {outcome.digest}")
            console.result(f"{'':15}{outcome.difference or 'nothing but the manifest itself'}")
