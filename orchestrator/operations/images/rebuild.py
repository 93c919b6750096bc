"""`images rebuild`: build layers again without any cache, and show that they come out the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.definitions.yaml import suggestion
from orchestrator.errors import UsageError
from orchestrator.host.folders import cache_home
from orchestrator.images.rebuild import Rebuilder, Rebuilt
from orchestrator.plan.build.layers import merge_layers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.facts.build import BuildPlan, LayerStep
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildRequest:
    """Which layers; ``verify`` compares with the images that are there and leaves those as they are."""

    selections: tuple[Selection, ...]
    layers: tuple[str, ...] = ()
    """names; empty means all layers of the selections"""
    verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Layers to build anew, and the plans that hold them."""

    plans: tuple[BuildPlan, ...]
    steps: tuple[LayerStep, ...]

    def only(self, names: Sequence[str]) -> _Group:
        """Those of its layers that are named."""
        return replace(self, steps=tuple(step for step in self.steps if step.name in names))


def rebuild(context: Context, request: RebuildRequest, progress: Progress) -> Iterator[tuple[Rebuilt, ...]]:
    """Build the layers again; gives the layers of each selection as soon as they are done.

    ``state`` of each is identical, same-content (only the compression differs) or differs; rebuilt
    where nothing was compared.

    Raises:
        UsageError: `unknown-layer`, no plan has a layer of that name.
        StepFailed: as `images.rebuild.Rebuilder`. EngineError.
    """
    for group in _groups(context, request.selections, request.layers):
        with context.build_settings() as settings, progress.layers(merge_layers(group.plans)) as view:
            rebuilder = Rebuilder(
                engine=context.engine,
                settings=settings,
                parts=context.parts(),
                cache=cache_home(),
                on_layer=view.layer,
                on_event=view.event,
            )
            done = rebuilder.verify(group.steps) if request.verify else rebuilder.replace(group.steps)
        yield done


def _groups(context: Context, selections: Sequence[Selection], names: Sequence[str]) -> list[_Group]:
    """For each selection the layers that are meant; a layer of two selections counts once."""
    groups = list(_all_layers(context, selections))
    if names:
        known = {step.name for group in groups for step in group.steps}
        groups = [group.only(names) for group in groups]
        groups += [_side(context, selections[0], name, known) for name in names if name not in known]
    return [group for group in groups if group.steps]


def _all_layers(context: Context, selections: Sequence[Selection]) -> Iterator[_Group]:
    seen: set[str] = set()
    for selection in selections:
        plans = context.plans(selection).plans
        steps = tuple(step for step in merge_layers(plans) if step.image not in seen)
        seen |= {step.image for step in steps}
        yield _Group(plans=plans, steps=steps)


def _side(context: Context, selection: Selection, name: str, known: set[str]) -> _Group:
    """The layer of a side image (`prep`), which no benchmark holds.

    Raises:
        UsageError: `unknown-layer`, no such layer is defined.
    """
    sides = [entry.definition.name for entry in context.catalog.layers() if entry.definition.level == "side"]
    if name in sides:
        plans = context.plans(replace(selection, side=name, benchmarks=())).plans
        return _Group(plans=plans, steps=(plans[0].layers[-1],))
    hint = suggestion(name, sorted(known))
    raise UsageError(f"there is no layer `{name}` in these plans", hint=hint, slug="unknown-layer")
