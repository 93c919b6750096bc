"""`mlorch build`: make the images of a target present."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import (
    engine_option,
    json_option,
    locked_option,
    recipes_option,
    selection_options,
    wants_locked,
)
from orchestrator.commands.pulling import DEFAULT_PULL_POLICY, PullPolicy, image_sources, pull_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.facts.steps import BuildPlan
    from orchestrator.images.outcome import LayerOutcome
    from orchestrator.images.pull import ImageSources
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection


@click.command("build")
@selection_options
@click.option("--all", "all_", is_flag=True, help="All benchmarks of the target; the default when none is named.")
@locked_option
@click.option("--dry-run", is_flag=True, help="Show what would be built; build nothing.")
@engine_option
@pull_options
@click.option("--push", default="", metavar="REGISTRY", help="Publish the images there: HOST[:PORT][/PATH].")
@click.option(
    "-o", "--output", default="", metavar="FILE", help="With --push: write the digests of what was published to FILE."
)
@click.option("--cache-to", default="", metavar="REGISTRY", help="Keep the results of build steps there.")
@click.option(
    "--cache-from", multiple=True, metavar="REGISTRY", help="Take results of build steps from there; repeatable."
)
@recipes_option
@json_option
def command(
    chosen: Sequence[Selection],
    engine: str,
    recipes: tuple[str, ...],
    push: str,
    output: str,
    cache_to: str,
    cache_from: tuple[str, ...],
    pull_policy: PullPolicy,
    *,
    all_: bool,
    locked: bool | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Build the images of a target, layer by layer. What is there already is not built again."""
    from dataclasses import replace

    from orchestrator.commands.plan import outlook, plan_document
    from orchestrator.console import Console
    from orchestrator.errors import UsageError
    from orchestrator.operations.context import Context
    from orchestrator.operations.sweep import sweep_containers

    if all_ and any(one.benchmarks for one in chosen):
        raise UsageError("--all and --benchmark exclude each other", hint="give one of them")
    pull_policy = replace(pull_policy, cache_to=place(cache_to), cache_from=tuple(place(name) for name in cache_from))
    if output and not push:
        raise UsageError("-o says where the digests of published images go, and --push is missing", hint="add --push")
    push, strict = place(push), wants_locked(locked)
    context, console = Context(recipes, locked=strict, wanted_engine=engine), Console(quiet=as_json)
    if not dry_run:
        sweep_containers(console)
    documents = []
    for selection in (replace(one, locked=strict) for one in chosen):
        if dry_run:
            plans = context.plans(selection).plans
            outcomes = outlook(context, plans, image_sources(context, pull_policy, console))
        else:
            plans, outcomes = build_images(context, selection, console, pull_policy=pull_policy)
        documents.append(plan_document(plans, outcomes))
        if not as_json:
            show(console, plans, outcomes)
        if push and not dry_run:
            documents[-1] |= _published(context, selection, plans, push, console, output, quiet=as_json)
    if push and output and not dry_run:
        from orchestrator.commands.publishing import write_list

        write_list(output, documents)
    if as_json:
        console.document(documents[0] if len(documents) == 1 else {"builds": documents})


_AHEAD = ("build", "pull")
"""States of layers that a dry run finds missing."""


def place(text: str) -> str:
    """A place in a registry as it was given, checked before anything is done; empty stays empty."""
    if not text:
        return ""
    from orchestrator.facts.references import parse_registry_prefix

    return str(parse_registry_prefix(text))


def _published(
    context: Context,
    selection: Selection,
    plans: Sequence[BuildPlan],
    push: str,
    console: Console,
    output: str,
    *,
    quiet: bool,
) -> dict[str, object]:
    from orchestrator.commands.publishing import prep_selection, publish
    from orchestrator.commands.publishing import show as show_published

    prep = prep_selection(context, selection, plans)
    sides = build_images(context, prep, console)[0] if prep else ()
    document = publish(context, plans, push, console, sides=sides)
    if not quiet:
        show_published(console, document, output)
    return document


def build_images(
    context: Context, selection: Selection, console: Console, *, pull_policy: PullPolicy = DEFAULT_PULL_POLICY
) -> tuple[tuple[BuildPlan, ...], tuple[LayerOutcome, ...]]:
    """Make the images of `selection` present: pulled where a registry has them, else built.

    Where a base cannot be had, the next base source is tried.

    Raises:
        DefinitionError: `base-unlocked` (see `require_digests`); `lock-drift` with --locked.
        StepFailed, EngineError: as `execute.build.Builder.build`, of the last source tried.
    """
    plans = context.plans(selection).plans
    require_digests(plans)
    sources = image_sources(context, pull_policy, console)
    found = context.look_up()([step.image for plan in plans for step in plan.layers])
    if sources is not None:
        found = sources.accept(found, [step for plan in plans for step in plan.layers])
    if all(found[plan.image] is not None for plan in plans):
        # The common case, kept short: every image is there, so no builder, no view, no docker client.
        from orchestrator.images.outcome import hit
        from orchestrator.plan.build.layers import merge_layers

        return plans, tuple(hit(step, found.get(step.image)) for step in merge_layers(plans))
    return _build_missing(context, selection, plans, console, sources, pull_policy)


def require_digests(plans: Sequence[BuildPlan]) -> None:
    """A base that is a tag only is planned and shown, never built.

    Raises:
        DefinitionError: `base-unlocked`, one problem a layer.
    """
    from orchestrator.errors import DefinitionError, Problem
    from orchestrator.plan.build.layers import merge_layers

    problems = [
        Problem(
            slug="base-unlocked",
            message=f"nobody has looked up the digest of `{step.unlocked}` for {step.platform}, "
            f"so layer `{step.name}` would be built on whatever the tag is today",
            hint=f"where its registry can be reached: `mlorch images lock {step.name}`; "
            f"or give --base-source registry:IMAGE@sha256:…",
        )
        for step in merge_layers(plans)
        if step.unlocked
    ]
    if problems:
        raise DefinitionError(problems)


def _build_missing(
    context: Context,
    selection: Selection,
    plans: tuple[BuildPlan, ...],
    console: Console,
    sources: ImageSources | None,
    pull_policy: PullPolicy,
) -> tuple[tuple[BuildPlan, ...], tuple[LayerOutcome, ...]]:
    from dataclasses import replace

    from orchestrator.commands.build_view import BuildView
    from orchestrator.errors import AssetError, StepFailed
    from orchestrator.host.folders import cache_home
    from orchestrator.images.build import Builder
    from orchestrator.operations.host_ready import require_platform
    from orchestrator.operations.relock import relock, require_no_drift
    from orchestrator.plan.build.layers import merge_layers

    require_platform(plans, context.engine.facts())
    bases = list(context.bases(selection))
    relocked: set[str] = set()
    while True:
        with context.build_settings() as settings, BuildView(console, merge_layers(plans)) as view:
            builder = Builder(
                engine=context.engine,
                look_up=context.look_up(),
                settings=replace(settings, cache_to=pull_policy.cache_to, cache_from=pull_policy.cache_from),
                parts=context.parts(),
                cache=cache_home(),
                image_sources=sources,
                may_build=pull_policy.build,
                on_layer=view.layer,
                on_event=view.event,
            )
            try:
                return plans, builder.build(plans)
            except (AssetError, StepFailed) as error:
                step = view.current
                if step is None:
                    raise
                if error.slug == "lock-drift" and step.name not in relocked:
                    relocked.add(step.name)
                    console.warn(error.message)
                    if selection.locked:
                        require_no_drift(context.catalog, step, console)
                        raise
                    relock(context.catalog, step, console)
                    context.forget()
                elif step.parent is None and len(bases) > 1:
                    failed = bases.pop(0)
                    console.warn(f"base source {failed.option} fails here: {error.message}; trying {bases[0].option}")
                    selection = replace(selection, base_source=bases[0].option)
                else:
                    raise
        plans = context.plans(selection).plans


def show(console: Console, plans: Sequence[BuildPlan], outcomes: Sequence[LayerOutcome]) -> None:
    count = {state: sum(outcome.state == state for outcome in outcomes) for state in ("built", "pulled")}
    ahead = {state: sum(outcome.state == state for outcome in outcomes) for state in _AHEAD}
    width = max(len(outcome.name) for outcome in outcomes)
    for outcome in outcomes:
        seconds = f"{outcome.seconds:6.1f} s" if outcome.state in count else " " * 8
        console.result(
            f"  {outcome.state:6} {outcome.name:{width}}  {outcome.content_id[:12]} {seconds}  {outcome.reason}"
        )
    coming = [f"{number} to {state}" for state, number in ahead.items() if number]  # a dry run's
    words = coming or [f"{number} {state}" for state, number in count.items()]
    console.result(f"{plans[0].target}: {len(outcomes)} layers, {', '.join(words)}; images:")
    for plan in plans:
        console.result(f"  {plan.image}")
