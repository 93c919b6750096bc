"""`mlorch plan`: what a build would do, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options, engine_option, one_or_many, pull_options, selection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan import LayerPlan
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.pull_policy import PullPolicy


@click.command("plan")
@selection_options
@click.option("--explain", is_flag=True, help="Name every input that changed since the nearest image of the layer.")
@engine_option
@pull_options
@context_options
def command(
    chosen: Sequence[Selection],
    context: Context,
    console: Console,
    pull_policy: PullPolicy,
    *,
    explain: bool,
) -> None:
    """Show what would be built and why; without an engine every state is `unknown`."""
    from orchestrator.operations.plan import plan_document, plan_images

    documents = []
    for selection in chosen:
        found = plan_images(context, selection, console, pull_policy=pull_policy)
        documents.append(plan_document(found.plans, found.outcomes))
        if not console.quiet:
            _show(console, found, explain=explain)
    if console.quiet:
        console.document(one_or_many(documents, "plans"))


def _show(console: Console, found: LayerPlan, *, explain: bool) -> None:
    plans, outcomes = found.plans, found.outcomes
    names = ", ".join(plan.benchmark or plan.layers[-1].name for plan in plans)
    console.result(f"{plans[0].target} ({plans[0].platform}): {names}")
    width = max(len(outcome.name) for outcome in outcomes)
    for outcome in outcomes:
        console.result(f"  {outcome.state:8}{outcome.name:{width}}  {outcome.content_id[:12]}  {outcome.reason}")
        if not explain:
            continue
        for change in outcome.changed:
            console.result(f"{'':{width + 12}}{change['input']}: {_short(change['was'])} -> {_short(change['is'])}")


def _short(value: str | None) -> str:
    if value is None:
        return "(none)"
    return value if len(value) <= 40 else value[:37] + "…"
