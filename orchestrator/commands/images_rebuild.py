"""`mlorch images rebuild`: build layers again without any cache, and show that they come out the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, recipes_option, selection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.facts.steps import BuildPlan, LayerStep
    from orchestrator.images.rebuild import Rebuilt
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection


@click.command("rebuild")
@click.argument("layers", nargs=-1, metavar="[LAYER]…")
@selection_options
@click.option("--verify", is_flag=True, help="Compare with the images that are there, and leave those as they are.")
@recipes_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    layers: tuple[str, ...],
    chosen: Sequence[Selection],
    recipes: tuple[str, ...],
    *,
    verify: bool,
    as_json: bool,
) -> None:
    """Build LAYERs (default: all of the selection) again without any cache.

    With --verify each is compared with the image that is there: identical, or the first
    file that differs and in what, or the first field of the configuration. Exit status 1
    when one differs in more than its compression. Without it the new images take the place of the old ones.
    """
    from orchestrator.console import Console
    from orchestrator.operations.context import Context

    context, console = Context(recipes), Console(quiet=as_json)
    outcomes: list[Rebuilt] = []
    for plans, steps in _chosen(context, chosen, layers):
        found = _rebuild(context, console, plans, steps, verify=verify)
        outcomes += found
        if not as_json:
            _show(console, found)
    if as_json:
        console.document(document(outcomes))
    if any(outcome.state == "differs" for outcome in outcomes):
        ctx.exit(1)


def document(outcomes: Sequence[Rebuilt]) -> dict[str, object]:
    """The JSON form of what was rebuilt."""
    from dataclasses import asdict

    return {"layers": [asdict(outcome) for outcome in outcomes]}


def _chosen(
    context: Context, selections: Sequence[Selection], names: Sequence[str]
) -> list[tuple[tuple[BuildPlan, ...], list[LayerStep]]]:
    """For each selection its plans and the layers that are meant; a layer of two selections counts once.

    Raises:
        UsageError: `unknown-layer`, no plan has a layer of that name.
    """
    from orchestrator.definitions.yaml import nearest
    from orchestrator.errors import UsageError
    from orchestrator.plan.build.layers import merge_layers

    found, seen, known = [], set[str](), set[str]()
    for selection in selections:
        plans = context.plans(selection).plans
        steps = merge_layers(plans)
        known |= {step.name for step in steps}
        found.append((plans, [step for step in steps if step.image not in seen and (not names or step.name in names)]))
        seen |= {step.image for step in steps}
    for name in names:
        if name in known:
            continue
        side = _side(context, selections[0], name)
        if side is None:
            near = nearest(name, sorted(known))
            hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(sorted(known))}"
            raise UsageError(f"there is no layer `{name}` in these plans", hint=hint, slug="unknown-layer")
        found.append((side, [side[0].layers[-1]]))
    return [(plans, steps) for plans, steps in found if steps]


def _side(context: Context, selection: Selection, name: str) -> tuple[BuildPlan, ...] | None:
    """The plan of a side image (`prep`), which no benchmark holds; None where no such layer is defined."""
    from dataclasses import replace

    sides = [entry.definition.name for entry in context.catalog.layers() if entry.definition.level == "side"]
    return context.plans(replace(selection, side=name, benchmarks=())).plans if name in sides else None


def _rebuild(
    context: Context, console: Console, plans: tuple[BuildPlan, ...], steps: Sequence[LayerStep], *, verify: bool
) -> tuple[Rebuilt, ...]:
    from orchestrator.commands.build_view import BuildView
    from orchestrator.host.folders import cache_home
    from orchestrator.images.rebuild import Rebuilder
    from orchestrator.plan.build.layers import merge_layers

    with context.build_settings() as settings, BuildView(console, merge_layers(plans)) as view:
        rebuilder = Rebuilder(
            engine=context.engine,
            settings=settings,
            parts=context.parts(),
            cache=cache_home(),
            on_layer=view.layer,
            on_event=view.event,
        )
        return rebuilder.verify(steps) if verify else rebuilder.replace(steps)


def _show(console: Console, outcomes: Sequence[Rebuilt]) -> None:
    width = max(len(outcome.name) for outcome in outcomes)
    for outcome in outcomes:
        console.result(f"  {outcome.state:12} {outcome.name:{width}}  {outcome.rebuilt}  {outcome.seconds:6.1f} s")
        if outcome.state in {"differs", "same-content"}:
            console.result(f"{'':15}there: {outcome.digest}")
            console.result(f"{'':15}{outcome.difference or 'nothing but the manifest itself'}")
