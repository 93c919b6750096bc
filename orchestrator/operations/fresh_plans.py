"""The plans of a selection, made anew from the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.host.folders import cache_home
from orchestrator.images.base_layout import with_layout
from orchestrator.plan.build.bases import base_candidates
from orchestrator.plan.build.frameworks import benchmarks_of
from orchestrator.plan.build.planner import build_plan, build_plans
from orchestrator.plan.build.resolve import resolve_side

if TYPE_CHECKING:
    from orchestrator.definitions.catalog import Catalog
    from orchestrator.facts.build import BuildPlan
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection


def fresh_plans(context: Context, selection: Selection) -> tuple[BuildPlan, ...]:
    """The plans of `selection`, on the first base source that may be tried. Raises what choosing and planning raise."""
    chosen = context.target(selection.target, selection.platform, selection.arch)
    target, platform = chosen.name, chosen.platform
    base = with_layout(base_candidates(context.catalog, target, platform, selection.base_source)[0], cache_home())
    if selection.side:
        resolution = resolve_side(context.catalog, target=target, layer=selection.side, platform=platform, base=base)
        return (build_plan(context.catalog, resolution),)
    return build_plans(
        context.catalog_for(selection.benchmarks, selection.changes),
        target=target,
        benchmarks=selection.benchmarks or (() if selection.every else _default(context.catalog, target)),
        platform=platform,
        base=base,
        arch=chosen.arch,
        round_name=selection.round,
    )


def _default(catalog: Catalog, target: str) -> tuple[str, ...]:
    """The benchmarks that run by default on ``target``; of one that has none, all are meant."""
    names = benchmarks_of(catalog, target)
    return tuple(name for name in names if catalog.benchmark(name).definition.default)
