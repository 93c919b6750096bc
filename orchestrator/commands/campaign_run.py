"""`mlorch campaign run` and `resume`."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.campaign_plan import campaign_argument, in_words, shard_option
from orchestrator.commands.common import set_option
from orchestrator.commands.run_options import source_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.console import Console
    from orchestrator.operations.campaign.run import CampaignRun, CellEnd
    from orchestrator.operations.context import Context
    from orchestrator.operations.pull_policy import PullPolicy


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    function = source_options(function)
    again = "Measure cells again whose result does not count (INVALID, FAILED)."
    wait = "Wait for processors that another run on this host has (default), or fail at once."
    for decorate in (
        click.option("--no-build", is_flag=True, help="Pull a missing image or fail; build none."),
        click.option("--wait/--no-wait", default=True, help=wait),
        click.option("--again", is_flag=True, help=again),
        set_option,
        shard_option,
        campaign_argument,
    ):
        function = decorate(function)
    return function


@click.command("run")
@_options
def run(campaign: str, context: Context, console: Console, **options: Any) -> int:
    """Run the cells of CAMPAIGN (a file or a name) that are not measured yet, one after the other.

    Each is a run of its own, with its record in a folder of its own. Ctrl-C, SIGTERM, a crash or a lost engine cost
    the test that runs and nothing else: `resume` goes on. A changed recipe runs only the cells that it changes.
    Exits with 0 only when every cell ended, is VALID and reached its accuracy.
    """
    return _run(context, console, campaign, resume=False, **options)


@click.command("resume")
@_options
def resume(campaign: str, context: Context, console: Console, **options: Any) -> int:
    """Go on with CAMPAIGN where it was: as `run`, and an error where it was never begun."""
    return _run(context, console, campaign, resume=True, **options)


def _run(
    context: Context, console: Console, campaign: str, *, resume: bool, results_dir: str | None,
    pull_policy: PullPolicy, shard: str, again: bool, no_build: bool, **options: Any,
) -> int:  # fmt: skip
    _ = context.engine_answers  # asked while the rest is imported
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.commands.campaign_view import CampaignView
    from orchestrator.operations.campaign.request import CampaignRequest
    from orchestrator.operations.campaign.run import campaign_run
    from orchestrator.operations.run.request import RunRequest

    shared = RunRequest(
        results=context.settings.results_folder(results_dir),
        recipes=context.recipes,
        engine=context.wanted_engine,
        locked=context.locked,
        pull_policy=replace(pull_policy, build=not no_build),
        **options,
    )
    request = CampaignRequest(campaign=campaign, run=shared, shard=shard, again=again)
    ready = campaign_run(context, request, resume=resume)
    ended: list[CellEnd] = []
    try:
        with CampaignView(console) as view:
            for end in ready.run(ConsoleProgress(console), view):
                ended.append(end)
                view.ended(end)
    except BaseException:
        if not console.quiet:
            _tell(console, ready)
            console.say(f"nothing that ended is lost: `mlorch campaign resume {campaign}` goes on")
        raise
    if console.quiet:
        assert ready.plan is not None  # it has run
        console.document({**ready.plan.document(), "ran": len(ended)})
    else:
        _tell(console, ready)
        where = ("-o", results_dir) if results_dir else ()
        console.say(f"next: {shlex.join(('mlorch', 'campaign', 'export', ready.folder.name, *where))}")
    counts = ready.plan.counts() if ready.plan is not None else {}
    return 0 if counts and counts["done"] + counts["same"] == counts["total"] else 1


def _tell(console: Console, ready: CampaignRun) -> None:
    if ready.plan is None:
        return
    console.result(in_words(ready.plan.counts()))
    for each in ready.plan.cells:
        if each.state in {"invalid", "failed"}:
            console.result(f"  {each.state}: {each.planned.cell.title}: {'; '.join(each.why)}")
    for reason in dict.fromkeys(why for each in ready.plan.cells if each.state == "impossible" for why in each.why):
        console.result(f"cannot run here: {reason}")
    console.say(f"results: {ready.folder}")
