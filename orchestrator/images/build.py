"""Executes the decisions about layers: lock, look again, then pull, or lay out the context and build.

One layer is made by one process at a time on this machine (a file lock per content
id); another that wants it waits and then finds it. Where there are no locks both make it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.engines.builds import BuildRequest
from orchestrator.errors import StepFailed
from orchestrator.host.file_lock import locked
from orchestrator.images.context import laid_out
from orchestrator.images.decide import planned
from orchestrator.plan.build.layers import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orchestrator.engines import BuildEvent, Engine, ImageFacts
    from orchestrator.facts.build import LayerStep
    from orchestrator.facts.build_settings import BuildSettings
    from orchestrator.images.context import Parts
    from orchestrator.images.decide import LayerDecision, LayerOutcome, LookUp
    from orchestrator.images.pull import ImageSources, RegistryImage


@dataclass(slots=True, kw_only=True)
class LayerBuilder:
    """Builds layers on one engine; ``on_layer`` and ``on_event`` hear how far each is."""

    engine: Engine
    settings: BuildSettings
    parts: Parts
    cache: Path
    on_layer: Callable[[LayerStep, str], None] = field(default=lambda _step, _state: None)
    on_event: Callable[[LayerStep, BuildEvent], None] = field(default=lambda _step, _event: None)

    def build_layer(self, step: LayerStep, *, name: LayerStep | None = None, no_cache: bool = False) -> ImageFacts:
        """Lay out the context of a layer and build it, under the image name of another step where ``name`` is one.

        Raises:
            StepFailed: `build-failed`, or the context cannot be laid out. EngineError: the engine went away.
        """

        def on_event(event: BuildEvent) -> None:
            self.on_event(step, event)

        settings = replace(self.settings, no_cache=True) if no_cache else self.settings
        self.on_layer(step, "build")
        with laid_out(step, self.cache, self.parts, on_event) as context:
            request = BuildRequest(step=name or step, context=context, labels=labels(step), settings=settings)
            return self.engine.build(request, on_event)


@dataclass(slots=True, kw_only=True)
class Builder(LayerBuilder):
    """Executes decisions on one engine."""

    look_up: LookUp
    image_sources: ImageSources | None = None
    """Registries that images are pulled from; None where none is asked."""

    def build(self, decisions: Sequence[LayerDecision]) -> tuple[LayerOutcome, ...]:
        """Make the layers of ``decisions`` present, in their order.

        Raises:
            StepFailed: a step of a layer failed; what was built before stays and is a hit next time.
            RegistryError: an image in a registry is not what it should be, or cannot be pulled.
            EngineError: the engine cannot build (nothing is fetched for it then), or went away.
        """
        if any(decision.action == "build" for decision in decisions):
            self.engine.require_builder()
        return tuple(self._carry_out(decision) for decision in decisions)

    def _carry_out(self, decision: LayerDecision) -> LayerOutcome:
        step = decision.step
        if decision.action == "hit":
            self.on_layer(step, "hit")
            return planned(decision)
        began, due = time.monotonic(), planned(decision)
        pulling = decision.registry_image
        lock = self.cache / "locks" / f"{step.content_id}.lock"
        with locked(lock, on_wait=lambda: self.on_layer(step, "waiting"), needed=False):
            facts = self._found(step)
            if facts is not None:
                self.on_layer(step, "hit")
                reason = f"{'built' if pulling is None else 'pulled'} by another mlorch meanwhile"
                return replace(due, state="hit", reason=reason, digest=facts.digest, changed=())
            if pulling is None:
                facts, state, reason = self.build_layer(step), "built", decision.reason
            else:
                facts, state = self._pull(step, pulling), "pulled"
                reason = f"{pulling.size / 1e6:.1f} MB from {pulling.prefix}"
        self.on_layer(step, state)
        seconds = round(time.monotonic() - began, 2)
        return replace(due, state=state, reason=reason, digest=facts.digest, seconds=seconds)

    def _found(self, step: LayerStep) -> ImageFacts | None:
        """What the engine has of a layer by now, without what a published list forbids."""
        found = self.look_up([step.image])
        if self.image_sources is not None:
            found = self.image_sources.accept(found, [step])
        return found[step.image]

    def _pull(self, step: LayerStep, image: RegistryImage) -> ImageFacts:
        assert self.image_sources is not None, "only image sources give registry images"
        self.on_layer(step, "pull")
        return self.image_sources.fetch(self.engine, step, image, lambda event: self.on_event(step, event))


def require_no_build(decisions: Sequence[LayerDecision], *, asked: bool) -> None:
    """Where building is not allowed: every layer must be there or in a registry.

    ``asked`` says whether a registry was asked. Raises `StepFailed` [image-missing].
    """
    missing = next((decision.step.image for decision in decisions if decision.action == "build"), None)
    if missing is None:
        return
    where = "neither the engine nor a registry has it" if asked else "the engine does not have it"
    hint = "run `mlorch build` first, or leave --no-build out"
    if not asked:
        hint += "; `registries` in mlorch.yaml says where images may be pulled from"
    raise StepFailed(
        f"the image {missing} is missing: {where}, and --no-build forbids to build it", hint=hint, slug="image-missing"
    )
