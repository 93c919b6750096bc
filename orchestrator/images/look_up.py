"""Asks the engine and the registries for the layers of plans, and decides what is to be done for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.images.decide import decide, explained
from orchestrator.plan.build.layers import merge_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.engines import ImageFacts
    from orchestrator.facts.build import BuildPlan
    from orchestrator.images.decide import LayerDecision
    from orchestrator.images.pull import ImageSources

    LookUp = Callable[[Sequence[str]], Mapping[str, ImageFacts | None]]
    """Image names to what an engine has of each."""
    ImagesOfLayer = Callable[[str], Sequence[ImageFacts]]
    """The name of a layer to all images of it that an engine has."""


def layer_decisions(
    plans: Sequence[BuildPlan],
    look_up: LookUp | None,
    images_of_layer: ImagesOfLayer,
    sources: ImageSources | None,
) -> tuple[LayerDecision, ...]:
    """The decisions for ``plans``; ``look_up`` is None where no engine answers.

    Raises:
        RegistryError: as `ImageSources.registry_images`.
    """
    if look_up is None:
        return decide(plans, None, {})
    steps = merge_layers(plans)
    found = look_up([step.image for step in steps])
    registry_images = {}
    if sources is not None:
        found = sources.accept(found, steps)
        present = {image for image, facts in found.items() if facts is not None}
        registry_images = sources.registry_images(plans, present)
    decisions = decide(plans, found, registry_images)
    return tuple(
        explained(decision, images_of_layer(decision.step.name)) if decision.action == "build" else decision
        for decision in decisions
    )
