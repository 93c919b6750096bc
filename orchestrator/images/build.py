"""Builds what a plan lacks: look, lock, look again, lay out the context, build.

One layer is built by one process at a time on this machine (a file lock per content
id); another that wants it waits and then finds it.
"""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.images.context import laid_out
from orchestrator.images.outcome import LayerOutcome, hit, why
from orchestrator.plan.build.layers import labels, merge_layers, missing_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.engines import BuildEvent, BuildSettings, Engine, ImageFacts
    from orchestrator.facts.steps import BuildPlan, LayerStep
    from orchestrator.images.context import Parts
    from orchestrator.images.pull import ImageSources, RegistryImage


@dataclass(slots=True, kw_only=True)
class Builder:
    """Carries build plans out on one engine."""

    engine: Engine
    look_up: Callable[[Sequence[str]], Mapping[str, ImageFacts | None]]
    settings: BuildSettings
    parts: Parts
    cache: Path
    image_sources: ImageSources | None = None
    """Registries to look in before building; None asks none."""
    may_build: bool = True
    on_layer: Callable[[LayerStep, str], None] = field(default=lambda _step, _state: None)
    on_event: Callable[[LayerStep, BuildEvent], None] = field(default=lambda _step, _event: None)

    def build(self, plans: Sequence[BuildPlan]) -> tuple[LayerOutcome, ...]:
        """Make every image of `plans` present.

        Raises:
            StepFailed: a step of a layer failed; what was built before stays and is a hit next time.
                `image-missing` before anything is done, where building is not allowed and needed.
            RegistryError: an image in a registry is not what it should be, or cannot be pulled.
            EngineError: the engine went away.
        """
        steps = merge_layers(plans)
        found = self._found(steps)
        present = {reference for reference, facts in found.items() if facts is not None}
        registry_images = self.image_sources.registry_images(plans, present) if self.image_sources else {}
        missing = {step.image for step in missing_layers(plans, present | registry_images.keys())}
        if missing and not self.may_build:
            raise image_missing(next(iter(missing)), asked=self.image_sources is not None)
        outcomes = []
        for step in steps:
            if step.image in registry_images:
                outcomes.append(self._fetch(step, registry_images[step.image]))
            elif step.image in missing:
                outcomes.append(self._make(step))
            else:
                outcomes.append(hit(step, found.get(step.image)))
                self.on_layer(step, "hit")
        return tuple(outcomes)

    def _found(self, steps: Sequence[LayerStep]) -> Mapping[str, ImageFacts | None]:
        """What the engine holds of the steps' images, without what a published list forbids."""
        found = self.look_up([step.image for step in steps])
        return found if self.image_sources is None else self.image_sources.accept(found, steps)

    def _make(self, step: LayerStep) -> LayerOutcome:
        began = time.monotonic()
        with self._alone(step):
            facts = self._found([step])[step.image]
            if facts is not None:
                self.on_layer(step, "hit")
                return hit(step, facts, reason="built by another mlorch meanwhile")
            self.on_layer(step, "build")
            reason, changed = why(step, self.engine.images(f"org.mlorch.layer={step.name}"))
            with laid_out(step, self.cache, self.parts, lambda event: self.on_event(step, event)) as context:
                facts = self.engine.build(
                    step, context, labels(step), self.settings, lambda event: self.on_event(step, event)
                )
        self.on_layer(step, "built")
        return LayerOutcome(
            name=step.name,
            content_id=step.content_id,
            state="built",
            reason=reason,
            image=step.image,
            digest=facts.digest,
            seconds=round(time.monotonic() - began, 2),
            changed=changed,
        )

    def _fetch(self, step: LayerStep, registry_image: RegistryImage) -> LayerOutcome:
        assert self.image_sources is not None
        began = time.monotonic()
        with self._alone(step):
            there = self._found([step])[step.image]
            if there is not None:
                self.on_layer(step, "hit")
                return hit(step, there, reason="pulled by another mlorch meanwhile")
            self.on_layer(step, "pull")
            facts = self.image_sources.fetch(
                self.engine, step, registry_image, lambda event: self.on_event(step, event)
            )
        self.on_layer(step, "pulled")
        return LayerOutcome(
            name=step.name,
            content_id=step.content_id,
            state="pulled",
            reason=f"{registry_image.size / 1e6:.1f} MB from {registry_image.place}",
            image=step.image,
            digest=facts.digest,
            seconds=round(time.monotonic() - began, 2),
        )

    @contextmanager
    def _alone(self, step: LayerStep) -> Iterator[None]:
        """Hold the layer's lock; the kernel drops it when this process ends, however it ends."""
        folder = self.cache / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{step.content_id}.lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.on_layer(step, "waiting")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def image_missing(image: str, *, asked: bool) -> StepFailed:
    """An image that is not there where building it is not allowed."""
    where = "neither the engine nor a registry has it" if asked else "it is not there"
    return StepFailed(
        f"the image {image} is missing: {where}, and --no-build forbids to build it",
        hint="run `mlorch build` first, or leave --no-build out"
        + ("" if asked else "; `registries` in mlorch.yaml says where images may be pulled from"),
        slug="image-missing",
    )
