"""What became of a layer, or would become of it, and why.

Apart from the builder, so that `mlorch plan` need not import what lays out contexts and builds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.plan.build.layers import explain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.engines import ImageFacts
    from orchestrator.facts.steps import LayerStep


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOutcome:
    """What became of a layer: the element of `layers` in the JSON of `build` and `plan`."""

    name: str
    content_id: str
    state: str
    """build: hit, pulled or built; plan: hit, pull, build, or unknown where no engine answered"""
    reason: str
    image: str
    digest: str | None
    seconds: float
    changed: tuple[dict[str, str | None], ...] = ()


def hit(step: LayerStep, facts: ImageFacts | None, reason: str = "") -> LayerOutcome:
    """The outcome of a layer that need not be built; without facts an image above holds it."""
    return LayerOutcome(
        name=step.name,
        content_id=step.content_id,
        state="hit",
        reason=reason or ("in the engine" if facts else "part of an image above it"),
        image=step.image,
        digest=facts.digest if facts else None,
        seconds=0.0,
    )


def why(step: LayerStep, images: Sequence[ImageFacts]) -> tuple[str, tuple[dict[str, str | None], ...]]:
    """Why `step` is no hit: the first build of it, or which inputs differ from the image built last."""
    if not images:
        return "no image of this layer yet", ()
    last = max(images, key=lambda facts: facts.created)
    try:
        was = json.loads(last.labels.get("org.mlorch.inputs", ""))
    except ValueError:
        return "the last image of this layer carries no inputs", ()
    changes = explain(step.inputs, was)
    if not changes:
        return "an image of the same inputs was removed", ()
    names = ", ".join(change.input for change in changes[:4]) + (" …" if len(changes) > 4 else "")
    return f"changed: {names}", tuple({"input": c.input, "was": c.was, "is": c.now} for c in changes)
