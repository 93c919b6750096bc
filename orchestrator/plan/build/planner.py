"""From a selection to build plans: one frozen step a layer, parents first. Pure.

The content id of a layer is a hash over named inputs (`orchestrator.plan.build.content`): the
rendered text, every file that it copies, every pinned package, its parent's id and
the platform. Same id, same image, on any machine; so an image is never built twice,
and `explain` can name the input that changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.definitions.locks import require_locks, unpinned_packages
from orchestrator.errors import DefinitionError
from orchestrator.facts.build import BuildPlan, LayerStep
from orchestrator.plan.build.frameworks import benchmarks_of
from orchestrator.plan.build.render import Renderer
from orchestrator.plan.build.resolve import Resolution, resolve, resolve_framework
from orchestrator.plan.build.step import has_lock, layer_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.catalog import Catalog
    from orchestrator.plan.build.bases import Base


def build_plan(catalog: Catalog, resolution: Resolution, renderer: Renderer | None = None) -> BuildPlan:
    """The steps that build `resolution`, parents first.

    Raises:
        DefinitionError: a template, a lock or a copied file is wrong; located.
    """
    renderer = renderer or Renderer(catalog.template)
    steps: list[LayerStep] = []
    try:
        for entry in resolution.layers:
            parent = steps[-1] if steps else None
            steps.append(layer_step(catalog, renderer, resolution, entry, parent))
    except DefinitionError:
        # One error names everything that drifted in the locks of all layers, not only of the first one.
        layers = [entry for entry in resolution.layers if has_lock(resolution, entry.definition)]
        require_locks(catalog, layers, resolution.platform)
        raise
    return BuildPlan(
        target=resolution.target.definition.name,
        benchmark=resolution.benchmark.definition.name if resolution.benchmark else "",
        platform=resolution.platform,
        framework=resolution.framework,
        arch=resolution.arch,
        layers=tuple(steps),
    )


def build_plans(
    catalog: Catalog,
    *,
    target: str,
    benchmarks: Sequence[str] = (),
    platform: str | None = None,
    base: Base | None = None,
    arch: str | None = None,
    round_name: str = "",
) -> tuple[BuildPlan, ...]:
    """A plan for each benchmark; layers that they share are equal.

    When none is named, of all that the target can build: a benchmark with a layer that nobody has locked yet is
    planned by its name, or where the target has no other. ``round_name`` is the round whose rules hold instead of
    those that the benchmarks name. A target that no benchmark can use yet has plans of its frameworks.
    """
    renderer = Renderer(catalog.template)
    names = benchmarks or benchmarks_of(catalog, target)
    if names:
        found = [
            resolve(
                catalog,
                target=target,
                benchmark=name,
                platform=platform,
                base=base,
                arch=arch,
                round_name=round_name,
            )
            for name in names
        ]
        if not benchmarks:
            found = [resolution for resolution in found if _is_locked(catalog, resolution)] or found
    else:
        found = [
            resolve_framework(catalog, target=target, framework=name, platform=platform, base=base, arch=arch)
            for name in catalog.target(target).definition.frameworks
        ]
    return tuple(build_plan(catalog, resolution, renderer) for resolution in found)


def _is_locked(catalog: Catalog, resolution: Resolution) -> bool:
    layers = (entry.definition for entry in resolution.layers)
    return not any(unpinned_packages(catalog, layer, resolution.platform) for layer in layers)
