"""`mlorch plan`: what a build would do, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import engine_option, json_option, recipes_option, selection_options
from orchestrator.commands.pulling import PullPolicy, image_sources, pull_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.facts.steps import BuildPlan, LayerStep
    from orchestrator.images.outcome import LayerOutcome
    from orchestrator.images.pull import ImageSources
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection


@click.command("plan")
@selection_options
@click.option("--explain", is_flag=True, help="Name every input that changed since the image built last.")
@engine_option
@pull_options
@recipes_option
@json_option
def command(
    chosen: Sequence[Selection],
    engine: str,
    recipes: tuple[str, ...],
    pull_policy: PullPolicy,
    *,
    explain: bool,
    as_json: bool,
) -> None:
    """Show what would be built and why; without an engine every state is `unknown`."""
    from orchestrator.console import Console
    from orchestrator.operations.context import Context

    context = Context(recipes, wanted_engine=engine)
    console = Console(quiet=as_json)
    documents = []
    for selection in chosen:
        plans = context.plans(selection).plans
        outcomes = outlook(context, plans, image_sources(context, pull_policy, console))
        documents.append(plan_document(plans, outcomes))
        if not as_json:
            _show(console, plans, outcomes, explain=explain)
    if as_json:
        console.document(documents[0] if len(documents) == 1 else {"plans": documents})


def outlook(
    context: Context, plans: Sequence[BuildPlan], sources: ImageSources | None = None
) -> tuple[LayerOutcome, ...]:
    """For every layer what a build would do: hit, pull, build, or unknown where no engine answers.

    Raises `RegistryError` as `ImageSources.registry_images`.
    """
    from dataclasses import replace

    from orchestrator.images.outcome import LayerOutcome, hit, why
    from orchestrator.plan.build.layers import merge_layers, missing_layers

    steps = merge_layers(plans)
    look_up = context.try_look_up()
    if look_up is None:
        return tuple(_outcome(LayerOutcome, step, "unknown", _reason(step, "no engine answers")) for step in steps)
    found = look_up([step.image for step in steps])
    found = found if sources is None else sources.accept(found, steps)
    present = {reference for reference, facts in found.items() if facts is not None}
    registry_images = sources.registry_images(plans, present) if sources is not None else {}
    missing = {step.image for step in missing_layers(plans, present | registry_images.keys())}
    outcomes = []
    for step in steps:
        if step.image in registry_images:
            registry_image = registry_images[step.image]
            reason = f"{registry_image.size / 1e6:.1f} MB in {registry_image.place}"
            outcomes.append(
                replace(_outcome(LayerOutcome, step, "pull", reason), digest=registry_image.reference.digest)
            )
            continue
        if step.image not in missing:
            outcomes.append(hit(step, found.get(step.image)))
            continue
        reason, changed = why(step, context.engine.images(f"org.mlorch.layer={step.name}"))
        outcomes.append(_outcome(LayerOutcome, step, "build", _reason(step, reason), changed))
    return tuple(outcomes)


def _reason(step: LayerStep, reason: str) -> str:
    """Why a layer would be built; of a base that nobody has locked, that it would be refused."""
    if not step.unlocked:
        return reason
    return f"unlocked: `{step.unlocked}` has no digest yet; `mlorch images lock {step.name}`"


def _outcome(
    make: type[LayerOutcome], step: object, state: str, reason: str, changed: tuple[dict[str, str | None], ...] = ()
) -> LayerOutcome:
    return make(
        name=step.name,  # type: ignore[attr-defined]
        content_id=step.content_id,  # type: ignore[attr-defined]
        state=state,
        reason=reason,
        image=step.image,  # type: ignore[attr-defined]
        digest=None,
        seconds=0.0,
        changed=changed,
    )


def plan_document(plans: Sequence[BuildPlan], outcomes: Sequence[LayerOutcome]) -> dict[str, object]:
    """The JSON of `plan` and `build` (design.md, JSON contract)."""
    from dataclasses import asdict

    return {
        "target": plans[0].target,
        "platform": plans[0].platform,
        "arch": plans[0].arch,
        "layers": [{**asdict(outcome), "changed": list(outcome.changed)} for outcome in outcomes],
        "images": [plan.image for plan in plans],
        "unlocked": sorted({step.name for plan in plans for step in plan.layers if step.unlocked}),
    }


_COLOURS = {"hit": "green", "pull": "cyan", "build": "yellow", "unknown": "dim"}


def _show(console: object, plans: Sequence[BuildPlan], outcomes: Sequence[LayerOutcome], *, explain: bool) -> None:
    from orchestrator.console import Console

    assert isinstance(console, Console)
    names = ", ".join(plan.benchmark or plan.layers[-1].name for plan in plans)
    console.result(f"{plans[0].target} ({plans[0].platform}): {names}")
    width = max(len(outcome.name) for outcome in outcomes)
    for outcome in outcomes:
        console.result(f"  {outcome.state:8}{outcome.name:{width}}  {outcome.content_id[:12]}  {outcome.reason}")
        if explain:
            for change in outcome.changed:
                console.result(f"{'':{width + 12}}{change['input']}: {_short(change['was'])} -> {_short(change['is'])}")


def _short(value: str | None) -> str:
    if value is None:
        return "(none)"
    return value if len(value) <= 40 else value[:37] + "…"
