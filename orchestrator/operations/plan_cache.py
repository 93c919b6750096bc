"""Plans, made once: see `operations.recipe_cache`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from orchestrator.facts.build import BuildPlan
from orchestrator.facts.codec import from_plain, to_plain
from orchestrator.operations.recipe_cache import slot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orchestrator.operations.recipe_cache import Slot


AUTO = "auto"
"""The word for a target that asks for detection, as leaving it out does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a command line selects, before anything is looked up; `target` None means the detected one."""

    target: str | None = None
    benchmarks: tuple[str, ...] = ()
    """None of them named means the default ones; `every` all whose layers are locked."""
    every: bool = False
    platform: str | None = None
    arch: str | None = None
    """What device code is built for; None means the devices here, else the target's default."""
    base_source: str = ""
    round: str = ""
    """The round whose rules hold; empty for the one that each benchmark names."""
    side: str = ""
    """The layer of a side image (`prep`), instead of benchmarks."""
    changes: tuple[str, ...] = ()
    """What `--set` says of the benchmarks: ``KEY=VALUE``."""

    def beside(self, layer: str) -> Selection:
        """The side image ``layer`` that works beside what is selected: the same target, platform and base."""
        return replace(self, benchmarks=(), every=False, changes=(), side=layer)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedPlans:
    """The plans of a selection, and the folders whose files they were made of."""

    plans: tuple[BuildPlan, ...]
    roots: tuple[str, ...]
    signature: str = ""
    """Of those files before they were read: one that was edited meanwhile must not pass for what was read."""


def cached_plans(
    selection: Selection,
    make: Callable[[Selection], CachedPlans],
    *,
    cache: Path,
    watched: Sequence[str] = (),
    decided_by: Sequence[object] = (),
) -> CachedPlans:
    """The plans of `selection`: kept ones when nothing changed, else made by `make` and kept.

    `watched` and `decided_by` as `recipe_cache.slot`.
    """
    place = slot(cache / "plans", to_plain(selection), watched=watched, decided_by=decided_by)
    kept = _read(place)
    if kept is not None:
        return kept
    fresh = make(selection)
    place.write([to_plain(plan) for plan in fresh.plans], fresh.roots, fresh.signature)
    return fresh


def _read(place: Slot) -> CachedPlans | None:
    kept = place.read()
    if kept is None:
        return None
    try:
        plans = tuple(from_plain(BuildPlan, plan) for plan in cast("list[object]", kept.form))
    except (ValueError, TypeError):
        return None  # of another version: make it anew
    return CachedPlans(plans=plans, roots=kept.roots)
