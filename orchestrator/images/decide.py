"""Hit, pull or build: decided here for every layer, once. `mlorch plan` prints the decisions, a build executes them.

`layer_decisions` asks the engine and the registries, `decide` is pure. Light: a plan that finds everything pays
for nothing that lays out contexts or builds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.facts.strict_json import strict_json
from orchestrator.plan.build.layers import explain, merge_layers, missing_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal

    from orchestrator.engines import ImageFacts
    from orchestrator.facts.build import BuildPlan, LayerStep
    from orchestrator.images.pull import ImageSources, RegistryImage

    Action = Literal["hit", "pull", "build", "unknown"]
    Changes = tuple[dict[str, str | None], ...]
    LookUp = Callable[[Sequence[str]], Mapping[str, ImageFacts | None]]
    """Image names to what an engine has of each."""
    Labels = Mapping[str, str]
    ImagesOfLayer = Callable[[LayerStep], Mapping[str, Labels]]
    """A layer to the labels of all images of it that an engine has, by reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDecision:
    """What is to be done for one layer, and why.

    ``action`` is ``unknown`` where no engine answered. ``image`` is the engine's image of a hit (None where
    an image above holds the layer), ``registry_image`` what a pull takes, ``changed`` the inputs that differ
    from the nearest image of the layer.
    """

    step: LayerStep
    action: Action
    reason: str
    image: ImageFacts | None = None
    registry_image: RegistryImage | None = None
    changed: Changes = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOutcome:
    """What became of a layer, or will: the element of `layers` in the JSON of `build` and `plan`."""

    name: str
    content_id: str
    state: str
    """build: hit, pulled or built; plan: hit, pull, build, or unknown where no engine answered"""
    reason: str
    image: str
    digest: str | None
    seconds: float
    changed: Changes = ()


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
        explained(decision, images_of_layer(decision.step)) if _unexplained(decision) else decision
        for decision in decisions
    )


def _unexplained(decision: LayerDecision) -> bool:
    return decision.action == "build" and not decision.reason


def decide(
    plans: Sequence[BuildPlan],
    found: Mapping[str, ImageFacts | None] | None,
    registry_images: Mapping[str, RegistryImage],
) -> tuple[LayerDecision, ...]:
    """The decision for every layer of ``plans``, parents first.

    ``found`` is what the engine has by image name, without what a published list forbids; None where no
    engine answered. ``registry_images`` are those that registries have and that are to be pulled.
    """
    steps = merge_layers(plans)
    if found is None:
        return tuple(_unknown(step) for step in steps)
    present = {image for image, facts in found.items() if facts is not None}
    missing = {step.image for step in missing_layers(plans, present | registry_images.keys())}
    return tuple(_decision(step, found, registry_images, missing) for step in steps)


def _unknown(step: LayerStep) -> LayerDecision:
    return LayerDecision(step=step, action="unknown", reason=_unlocked(step) or "no engine answers")


def _decision(
    step: LayerStep,
    found: Mapping[str, ImageFacts | None],
    registry_images: Mapping[str, RegistryImage],
    missing: set[str],
) -> LayerDecision:
    if step.image in registry_images:
        image = registry_images[step.image]
        reason = f"{image.size / 1e6:.1f} MB in {image.prefix}"
        return LayerDecision(step=step, action="pull", reason=reason, registry_image=image)
    if step.image in missing:
        return LayerDecision(step=step, action="build", reason=_unlocked(step))
    facts = found.get(step.image)
    reason = "in the engine" if facts else "part of an image above it"
    return LayerDecision(step=step, action="hit", reason=reason, image=facts)


def _unlocked(step: LayerStep) -> str:
    """Why a build will refuse a layer that nobody has locked; empty for every other layer."""
    if step.unpinned:
        return f"unlocked: nothing pins what it asks for yet; `mlorch images lock {step.name}`"
    if not step.unlocked:
        return ""
    return f"unlocked: `{step.unlocked}` has no digest yet; `mlorch images lock {step.name}`"


def explained(decision: LayerDecision, images: Mapping[str, Labels]) -> LayerDecision:
    """``decision`` to build, with its reason: what differs from the nearest of the layer's ``images``."""
    reason, changed = why_built(decision.step, images)
    return replace(decision, reason=reason, changed=changed)


def why_built(step: LayerStep, images: Mapping[str, Labels]) -> tuple[str, Changes]:
    """Why `step` is no hit: the first build of it, or which inputs differ from the image that is nearest to it.

    Nearest, and not last: all our images have one time of creation, so that none tells when it was built.
    """
    if not images:
        return "no image of this layer yet", ()
    ordered = [images[image] for image in sorted(images)]  # of several that are as near always the same one
    known = [(explain(step.inputs, was), labels) for labels in ordered if (was := _inputs(labels)) is not None]
    if not known:
        return "no image of this layer carries its inputs", ()
    changes, nearest = min(known, key=lambda each: (len(each[0]), _parent(each[1]) != _name(step.parent)))
    if not changes:
        return "an image of the same inputs was removed", ()
    names = ", ".join(change.input for change in changes[:4])
    if len(changes) > 4:
        names += " …"
    if _parent(nearest) and _parent(nearest) != _name(step.parent):
        names += f" (the nearest image lies over {_parent(nearest)})"
    return f"changed: {names}", tuple({"input": c.input, "was": c.was, "is": c.now} for c in changes)


def _parent(labels: Labels) -> str:
    """The layer that an image lies over, as its labels say."""
    return _name(labels.get("org.mlorch.parent"))


def _name(image: str | None) -> str:
    """The layer of an image: its reference without registry and tag."""
    return (image or "").rpartition("/")[2].partition(":")[0]


def _inputs(labels: Labels) -> dict[str, str] | None:
    """The inputs that an image says it was built from; None where it does not, or says nonsense."""
    try:
        inputs = strict_json(labels.get("org.mlorch.inputs", ""))
    except ValueError:
        return None
    if not isinstance(inputs, dict) or not all(isinstance(value, str) for value in inputs.values()):
        return None
    return inputs


def planned(decision: LayerDecision) -> LayerOutcome:
    """A decision as `mlorch plan` and a dry run print it; a build replaces what it does otherwise."""
    digest = None
    if decision.image is not None:
        digest = decision.image.digest
    if decision.registry_image is not None:
        digest = decision.registry_image.reference.digest
    step = decision.step
    return LayerOutcome(
        name=step.name,
        content_id=step.content_id,
        state=decision.action,
        reason=decision.reason,
        image=step.image,
        digest=digest,
        seconds=0.0,
        changed=decision.changed,
    )
