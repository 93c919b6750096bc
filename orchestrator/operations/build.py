"""Make the images of a selection present: pulled where a registry has them, else built."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.operations.plan import layer_plan
from orchestrator.operations.pull_policy import DEFAULT_PULL_POLICY, image_sources
from orchestrator.plan.build.layers import merge_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orchestrator.engines import BuildEvent
    from orchestrator.errors import MlorchError, Problem
    from orchestrator.facts.build import BuildPlan, LayerStep, SdistPin, TreePin
    from orchestrator.host.site import SiteConfig
    from orchestrator.images.context import Parts
    from orchestrator.images.decide import LayerOutcome
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan import LayerPlan
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import LayerProgress, Progress
    from orchestrator.operations.pull_policy import PullPolicy

    Built = tuple[tuple[BuildPlan, ...], tuple[LayerOutcome, ...]]


def build_images(
    context: Context, selection: Selection, progress: Progress, *, pull_policy: PullPolicy = DEFAULT_PULL_POLICY
) -> Built:
    """Make the images of `selection` present; gives their plans and what became of each layer.

    Where a base cannot be had, the next base source is tried, and remembered by ``context``.

    Raises:
        DefinitionError: `base-unlocked`, `layer-unlocked` (see `require_locked`); `lock-drift` with --locked.
        StepFailed: `image-missing`, building is needed and not allowed.
        StepFailed, RegistryError, EngineError: as `images.build.Builder.build`, of the last source tried.
    """
    plans = context.plans(selection).plans
    require_locked(plans)
    found = layer_plan(context, plans, image_sources(context, pull_policy, progress), engine_needed=True)
    if all(decision.action == "hit" for decision in found.decisions):
        # The common case, kept short: every image is there, so no builder, no view, no docker client.
        return found.plans, found.outcomes
    return _Build(context, selection, progress, pull_policy).run(found)


def require_locked(plans: Sequence[BuildPlan]) -> None:
    """A base that is a tag only, and a layer whose packages nothing pins, are planned and shown, never built.

    Raises:
        DefinitionError: `base-unlocked` or `layer-unlocked`, one problem a layer.
    """
    from orchestrator.errors import DefinitionError

    steps = merge_layers(plans)
    problems = [_base_unlocked(step) for step in steps if step.unlocked]
    problems += [_layer_unlocked(step) for step in steps if step.unpinned]
    if problems:
        raise DefinitionError(problems)


def _base_unlocked(step: LayerStep) -> Problem:
    from orchestrator.errors import Problem

    return Problem(
        slug="base-unlocked",
        message=f"nobody has looked up the digest of `{step.unlocked}` for {step.platform}, "
        f"so layer `{step.name}` would be built on whatever the tag is today",
        hint=f"where its registry can be reached: `mlorch images lock {step.name}`; "
        f"or give --base-source registry:IMAGE@sha256:…",
    )


def _layer_unlocked(step: LayerStep) -> Problem:
    from orchestrator.errors import Problem

    asked = ", ".join(step.unpinned[:6]) + (" …" if len(step.unpinned) > 6 else "")
    return Problem(
        slug="layer-unlocked",
        message=f"nobody has made the lock of layer `{step.name}` for {step.platform}, "
        f"so it would be built of whatever files the names mean today: {asked}",
        hint=f"where its packages can be reached: `mlorch images lock {step.name}`; its recipe says why there is none",
    )


class _Build:
    """One build of what is missing: tried again where a lock drifted or a base source fails."""

    def __init__(self, context: Context, selection: Selection, progress: Progress, pull_policy: PullPolicy) -> None:
        self._context = context
        self._selection = selection
        self._progress = progress
        self._pull_policy = pull_policy
        self._bases = list(context.bases(selection))
        self._locked_anew: set[str] = set()
        self._at_work: LayerStep | None = None
        """The layer that is being built: after a failure, the one that failed."""

    def run(self, found: LayerPlan) -> Built:
        """Build until all is there, or nothing is left to try."""
        from orchestrator.errors import AssetError, StepFailed
        from orchestrator.images.build import require_no_build
        from orchestrator.operations.target_choice import require_platform

        if not self._pull_policy.build:
            require_no_build(found.decisions, asked=found.sources is not None)
        require_platform(found.plans, self._context.engine.facts())
        while True:
            with self._progress.layers(merge_layers(found.plans)) as view:
                try:
                    return found.plans, self._make(found, view)
                except (AssetError, StepFailed) as error:
                    self._mend(error, self._at_work, found.plans[0])
            plans = self._context.plans(self._selection).plans
            found = layer_plan(self._context, plans, found.sources, engine_needed=True)

    def _make(self, found: LayerPlan, view: LayerProgress) -> tuple[LayerOutcome, ...]:
        from orchestrator.facts.build_settings import BuildSettings
        from orchestrator.host.folders import cache_home
        from orchestrator.images.build import Builder

        def on_layer(step: LayerStep, state: str) -> None:
            if state in {"build", "pull"}:
                self._at_work = step if state == "build" else None
            view.layer(step, state)

        self._at_work = None
        context, policy = self._context, self._pull_policy
        builds = any(decision.action == "build" for decision in found.decisions)
        with context.build_settings() if builds else nullcontext(BuildSettings()) as settings:
            builder = Builder(
                engine=context.engine,
                look_up=context.look_up(),
                settings=replace(settings, cache_to=policy.cache_to, cache_from=policy.cache_from),
                parts=context.parts(),
                cache=cache_home(),
                image_sources=found.sources,
                on_layer=on_layer,
                on_event=view.event,
            )
            return builder.build(found.decisions)

    def _mend(self, error: MlorchError, step: LayerStep | None, plan: BuildPlan) -> None:
        """Make a further try possible after ``error`` in the layer ``step``; raises it where nothing helps."""
        if step is None:
            raise error
        if error.slug == "lock-drift" and step.name not in self._locked_anew:
            self._lock_anew(error, step)
        elif step.parent is None and len(self._bases) > 1:
            self._next_base(error, plan)
        else:
            raise error

    def _lock_anew(self, error: MlorchError, step: LayerStep) -> None:
        from orchestrator.operations.relock import relock, require_no_drift

        self._locked_anew.add(step.name)
        self._progress.warn(error.message)
        if self._context.locked:
            require_no_drift(self._context, step, self._progress)
            raise error
        relock(self._context, step, self._progress)
        self._context.forget()

    def _next_base(self, error: MlorchError, plan: BuildPlan) -> None:
        failed = self._bases.pop(0)
        works = self._bases[0].option
        self._progress.warn(f"base source {failed.option} fails here: {error.message}; trying {works}")
        self._context.prefer_base(self._selection, plan, works)


# -- what contexts are made of --------------------------------------------------------------


def package_parts(site: SiteConfig) -> Parts:
    """Where the large parts of a context come from: packages by pin, each fetched when a layer that has it is built."""
    from orchestrator.host.git import export
    from orchestrator.images.context import Parts
    from orchestrator.packages.fetch import Fetcher, fetch_sdist, pip_wheel
    from orchestrator.packages.rootfs import build_rootfs

    def rootfs(step: LayerStep, out: Path, on_event: Callable[[BuildEvent], None]) -> None:
        fetch = Fetcher(site=site, on_event=on_event)
        build_rootfs(step.debs, out, base=step.parent is None, fetch=fetch, on_event=on_event, relock=step.name)

    def tools(step: LayerStep, out: Path, on_event: Callable[[BuildEvent], None]) -> None:
        fetch = Fetcher(site=site, on_event=on_event)
        build_rootfs(step.tools, out, base=False, fetch=fetch, on_event=on_event, relock=step.toolchain)

    def pip(step: LayerStep, out: Path) -> None:
        assert step.pip is not None, "only a layer with wheels asks for pip"
        shutil.copyfile(pip_wheel(step.pip, Fetcher(site=site)), out)

    def sdist(pin: SdistPin, out: Path) -> None:
        shutil.copyfile(fetch_sdist(pin, Fetcher(site=site)), out)

    def tree(pin: TreePin, out: Path) -> None:
        export(pin.url, pin.commit, out, paths=pin.paths, mirrors=site.git_mirrors)

    return Parts(rootfs=rootfs, pip=pip, tools=tools, sdist=sdist, tree=tree)
