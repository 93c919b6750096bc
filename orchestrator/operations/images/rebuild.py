"""`images rebuild`: build layers again without any cache, and show that they come out the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.definitions.yaml import suggestion
from orchestrator.errors import UsageError
from orchestrator.host.folders import cache_home
from orchestrator.images.rebuild import Rebuilder, Rebuilt
from orchestrator.plan.build.layers import merge_layers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.facts.build import LayerStep
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import Progress


def rebuild(
    context: Context,
    selections: Sequence[Selection],
    progress: Progress,
    *,
    layers: Sequence[str] = (),
    verify: bool = False,
) -> Iterator[tuple[Rebuilt, ...]]:
    """Build ``layers`` (names; all of the selections without any) again; gives each selection's when they are done.

    ``verify`` compares them with the images that are there and leaves those as they are. ``state`` of each is
    identical, same-content (only the compression differs) or differs; rebuilt where nothing was compared.

    Raises:
        UsageError: `unknown-layer`, no plan has a layer of that name.
        StepFailed: as `images.rebuild.Rebuilder`. EngineError.
    """
    for steps in _groups(context, selections, layers):
        with context.build_settings() as settings, progress.layers(steps) as view:
            rebuilder = Rebuilder(
                engine=context.engine,
                settings=settings,
                parts=context.parts(),
                cache=cache_home(),
                on_layer=view.layer,
                on_event=view.event,
            )
            done = rebuilder.verify(steps) if verify else rebuilder.replace(steps)
        yield done


def _groups(context: Context, selections: Sequence[Selection], names: Sequence[str]) -> list[tuple[LayerStep, ...]]:
    """For each selection the layers that are meant; a layer of two selections counts once."""
    groups: list[tuple[LayerStep, ...]] = []
    seen: set[str] = set()
    for selection in selections:
        steps = merge_layers(context.plans(selection).plans)
        groups.append(tuple(step for step in steps if step.image not in seen))
        seen |= {step.image for step in steps}
    if names:
        known = {step.name for group in groups for step in group}
        groups = [tuple(step for step in group if step.name in names) for group in groups]
        groups += [(_side(context, selections[0], name, known),) for name in names if name not in known]
    return [group for group in groups if group]


def _side(context: Context, selection: Selection, name: str, known: set[str]) -> LayerStep:
    """The layer of a side image (`prep`), which no benchmark holds.

    Raises:
        UsageError: `unknown-layer`, no such layer is defined.
    """
    sides = [entry.definition.name for entry in context.catalog.layers() if entry.definition.level == "side"]
    if name in sides:
        return context.plans(replace(selection, side=name, benchmarks=())).plans[0].layers[-1]
    hint = suggestion(name, sorted(known))
    raise UsageError(f"there is no layer `{name}` in these plans", hint=hint, slug="unknown-layer")
