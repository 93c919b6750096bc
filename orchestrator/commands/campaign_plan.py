"""`mlorch campaign plan` and `status`: the cells of a campaign, and how far they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.common import (
    SHOWN,
    context_options,
    counted,
    data_option,
    locked_option,
    output_option,
    results_option,
    say_rest,
    set_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.console import Console
    from orchestrator.operations.campaign.plan import CampaignPlan, CellState
    from orchestrator.operations.context import Context

WORDS = {
    "done": "measured",
    "invalid": "measured, and do not count",
    "failed": "failed",
    "interrupted": "interrupted",
    "left": "to run",
    "impossible": "cannot run here",
    "same": "the same test as another",
}
campaign_argument = click.argument("campaign", metavar="CAMPAIGN")
shard_option = click.option("--shard", default="", metavar="K/N", help="Only this part of the cells: 3/10.")


def chosen_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which campaign, which part of it, and what all its cells share."""
    for decorate in (data_option, set_option, shard_option, campaign_argument):
        function = decorate(function)
    return function


@click.command("plan")
@chosen_options
@click.option("--why", is_flag=True, help="What changed for each cell that was measured under another key.")
@click.option("--all", "every", is_flag=True, help=f"List every cell, not only the first {SHOWN}.")
@locked_option
@results_option
@context_options
def command(
    campaign: str, results_dir: str | None, context: Context, console: Console,
    *, shard: str, why: bool, every: bool, **shared: Any,
) -> int:  # fmt: skip
    """Show the cells of CAMPAIGN (a file or a name), which of them are measured, and which would run.

    Nothing is written, and no engine is needed.
    """
    from orchestrator.operations.campaign.plan import campaign_plan
    from orchestrator.operations.campaign.request import CampaignRequest
    from orchestrator.operations.run.request import RunRequest

    run = RunRequest(results=context.settings.results_folder(results_dir), recipes=context.recipes, **shared)
    plan = campaign_plan(context, CampaignRequest(campaign=campaign, run=run, shard=shard), why=why)
    if console.quiet:
        console.document(plan.document())
        return 0
    _show(console, plan, every=every)
    if why:
        _show_reasons(console, plan)
    return 0


@click.command("status")
@campaign_argument
@click.option("--cells/--no-cells", default=True, help="Whether --json has every cell (default: yes).")
@results_option
@output_option
def status(campaign: str, results_dir: str | None, console: Console, *, cells: bool) -> int:
    """Show how far CAMPAIGN is, by its journal alone; also while it runs.

    Exits with 0 when every cell is measured and counts.
    """
    from orchestrator.definitions.settings import read_settings
    from orchestrator.operations.campaign.places import folder_of
    from orchestrator.operations.campaign.status import campaign_status

    found = campaign_status(folder_of(read_settings().results_folder(results_dir), campaign))
    if console.quiet:
        console.document(found.document(with_cells=cells))
    else:
        state = "running" if found.running else "not running"
        console.result(f"campaign {found.name}: {state}, {in_words(found.counts())}")
        if found.left_s:
            console.result(f"about {time_words(found.left_s)} left")
        for each in found.cells:
            if each.state == "failed" and each.end is not None:
                axes = " ".join(each.cell.axes.values())
                console.result(f"  failed: {axes} {each.cell.mode}: {each.end.why}")
        console.say(f"results: {found.folder}")
    counts = found.counts()
    return 0 if counts["done"] + counts["same"] == counts["total"] else 1


def in_words(counts: Mapping[str, int]) -> str:
    """``8 cells: 3 measured, 5 to run``."""
    parts = [f"{counts[state]:,} {words}" for state, words in WORDS.items() if counts[state]]
    return f"{counted(counts['total'], 'cell')}: {', '.join(parts)}"


def time_words(seconds: float) -> str:
    """A time for people: ``40 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def _show(console: Console, plan: CampaignPlan, *, every: bool) -> None:
    shown = plan.cells if every else plan.cells[:SHOWN]
    names = [
        name
        for name in dict.fromkeys(name for each in plan.cells for name, _ in each.planned.cell.axes)
        if name not in {"benchmark", "scenario", "mode"}
    ]
    many = any(each.planned.cell.repetition > 1 for each in plan.cells)
    columns = ("benchmark", "scenario", "mode", *names, *(("repetition",) if many else ()), "state")
    rows = [_row(each, names, many=many) for each in shown]
    console.table(columns, rows, title=f"campaign {plan.campaign.name}")
    say_rest(console, len(shown), len(plan.cells), "cells", first="the first")
    console.result(in_words(plan.counts()))
    for reason in dict.fromkeys(why for each in plan.cells if each.state == "impossible" for why in each.why):
        console.result(f"cannot run here: {reason}")
    console.say(f"results: {plan.folder}")


def _row(each: CellState, names: list[str], *, many: bool) -> tuple[str, ...]:
    cell = each.planned.cell
    repetition = (str(cell.repetition),) if many else ()
    axes = (cell.value(name, "–") for name in names)
    return (cell.value("benchmark"), cell.value("scenario"), cell.mode, *axes, *repetition, WORDS[each.state])


def _show_reasons(console: Console, plan: CampaignPlan) -> None:
    """Why cells would run, once for all that have one reason."""
    found: dict[tuple[str, ...], list[CellState]] = {}
    for each in plan.cells:
        if each.state in {"left", "failed", "interrupted"}:
            found.setdefault(each.why or ("it was interrupted",), []).append(each)
    for reasons, cells in found.items():
        first = cells[0].planned.cell.title
        more = f" and {len(cells) - 1:,} more" if len(cells) > 1 else ""
        console.result(f"{first}{more}: {'; '.join(reasons)}")
