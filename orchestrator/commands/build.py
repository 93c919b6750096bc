"""`mlorch build`: make the images of a target present."""

from __future__ import annotations

import click

from orchestrator.commands.common import (
    engine_option,
    json_option,
    locked_option,
    recipes_option,
    selection_options,
    wants_locked,
)
from orchestrator.commands.pulling import ANY, Wish, depots, pull_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.commands.wiring import Workbench
    from orchestrator.compiled import Selection
    from orchestrator.console import Console
    from orchestrator.execute.outcome import LayerOutcome
    from orchestrator.execute.pull import Depots
    from orchestrator.model.steps import BuildPlan


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
    wish: Wish,
    *,
    all_: bool,
    locked: bool | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Build the images of a target, layer by layer. What is there already is not built again."""
    from dataclasses import replace

    from orchestrator.commands.plan import outlook, plan_document
    from orchestrator.commands.sweeping import sweep_containers
    from orchestrator.commands.wiring import Workbench
    from orchestrator.console import Console
    from orchestrator.errors import UsageError

    if all_ and any(one.benchmarks for one in chosen):
        raise UsageError("--all and --benchmark exclude each other", hint="give one of them")
    wish = replace(wish, cache_to=place(cache_to), cache_from=tuple(place(name) for name in cache_from))
    if output and not push:
        raise UsageError("-o says where the digests of published images go, and --push is missing", hint="add --push")
    push, strict = place(push), wants_locked(locked)
    bench, console = Workbench(recipes, locked=strict, wanted_engine=engine), Console(quiet=as_json)
    if not dry_run:
        sweep_containers(console)
    documents = []
    for selection in (replace(one, locked=strict) for one in chosen):
        if dry_run:
            plans = bench.plans(selection).plans
            outcomes = outlook(bench, plans, depots(bench, wish, console))
        else:
            plans, outcomes = build_images(bench, selection, console, wish=wish)
        documents.append(plan_document(plans, outcomes))
        if not as_json:
            show(console, plans, outcomes)
        if push and not dry_run:
            documents[-1] |= _published(bench, selection, plans, push, console, output, quiet=as_json)
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
    from orchestrator.registries.references import parse_place

    return str(parse_place(text))


def _published(
    bench: Workbench,
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

    prep = prep_selection(bench, selection, plans)
    sides = build_images(bench, prep, console)[0] if prep else ()
    document = publish(bench, plans, push, console, sides=sides)
    if not quiet:
        show_published(console, document, output)
    return document


def build_images(
    bench: Workbench, selection: Selection, console: Console, *, wish: Wish = ANY
) -> tuple[tuple[BuildPlan, ...], tuple[LayerOutcome, ...]]:
    """Make the images of `selection` present: pulled where a registry has them, else built.

    Where a base cannot be had, the next base source is tried.

    Raises:
        DefinitionError: `base-unlocked` (see `require_digests`); `lock-drift` with --locked.
        StepFailed, EngineError: as `execute.build.Builder.build`, of the last source tried.
    """
    plans = bench.plans(selection).plans
    require_digests(plans)
    sources = depots(bench, wish, console)
    found = bench.look_up()([step.image for plan in plans for step in plan.layers])
    if sources is not None:
        found = sources.accept(found, [step for plan in plans for step in plan.layers])
    if all(found[plan.image] is not None for plan in plans):
        # The common case, kept short: every image is there, so no builder, no view, no docker client.
        from orchestrator.execute.outcome import hit
        from orchestrator.layers import merge_layers

        return plans, tuple(hit(step, found.get(step.image)) for step in merge_layers(plans))
    return _build_missing(bench, selection, plans, console, sources, wish)


def require_digests(plans: Sequence[BuildPlan]) -> None:
    """A base that is a tag only is planned and shown, never built.

    Raises:
        DefinitionError: `base-unlocked`, one problem a layer.
    """
    from orchestrator.errors import DefinitionError, Problem
    from orchestrator.layers import merge_layers

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
    bench: Workbench,
    selection: Selection,
    plans: tuple[BuildPlan, ...],
    console: Console,
    sources: Depots | None,
    wish: Wish,
) -> tuple[tuple[BuildPlan, ...], tuple[LayerOutcome, ...]]:
    from dataclasses import replace

    from orchestrator.commands.build_view import BuildView
    from orchestrator.commands.host_ready import require_platform
    from orchestrator.commands.relock import relock, require_no_drift
    from orchestrator.errors import AssetError, StepFailed
    from orchestrator.execute.build import Builder
    from orchestrator.system.places import cache_home

    require_platform(plans, bench.engine.facts())
    bases = list(bench.bases(selection))
    relocked: set[str] = set()
    while True:
        with bench.build_settings() as settings, BuildView(console, plans) as view:
            builder = Builder(
                engine=bench.engine,
                look_up=bench.look_up(),
                settings=replace(settings, cache_to=wish.cache_to, cache_from=wish.cache_from),
                parts=bench.parts(),
                cache=cache_home(),
                depots=sources,
                may_build=wish.build,
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
                        require_no_drift(bench.catalog, step, console)
                        raise
                    relock(bench.catalog, step, console)
                    bench.forget()
                elif step.parent is None and len(bases) > 1:
                    failed = bases.pop(0)
                    console.warn(f"base source {failed.wish} fails here: {error.message}; trying {bases[0].wish}")
                    selection = replace(selection, base_source=bases[0].wish)
                else:
                    raise
        plans = bench.plans(selection).plans


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
