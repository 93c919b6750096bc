"""Which images a verb means: layers and references by name, else the finished images of its selections."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.definitions.yaml import suggestion
from orchestrator.errors import StepFailed, UsageError
from orchestrator.facts.references import parse_registry_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.facts.build import BuildPlan, LayerStep
    from orchestrator.facts.references import RegistryPrefix
    from orchestrator.images.attest.subject import Subject
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSelection:
    """Which images a verb means: ``names`` are layers, content ids or references; without any the finished images.

    With ``registry`` (HOST[:PORT][/PATH]) those of plans are meant as they lie there, not in the engine.
    """

    selections: tuple[Selection, ...]
    names: tuple[str, ...] = ()
    registry: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLayer:
    """A layer, and a plan that holds it."""

    plan: BuildPlan
    step: LayerStep


@dataclass(frozen=True, slots=True, kw_only=True)
class PickedImage:
    """One image: its reference, and the layer that it is; None where no plan has such a layer."""

    reference: str
    planned: PlannedLayer | None = None

    @property
    def local(self) -> bool:
        """Whether it is an engine's own name, not one in a registry."""
        return self.reference.startswith("localhost/")

    def require_planned(self) -> PlannedLayer:
        """The layer that it is.

        Raises:
            UsageError: `unknown-image`, no layer of the plans: nothing is known about how it was made.
        """
        if self.planned is None:
            raise UsageError(
                f"no layer of these plans is {self.reference}, so nothing is known about how it was made",
                hint="name a layer of `mlorch plan`, or give the recipes that the image was built from (--recipes)",
                slug="unknown-image",
            )
        return self.planned


def pick(context: Context, wanted: ImageSelection) -> tuple[PickedImage, ...]:
    """The images that are meant.

    Raises:
        UsageError: `unknown-image`, a name that is neither a layer of the plans nor a reference;
            `bad-registry`, no registry prefix.
    """
    prefix = parse_registry_prefix(wanted.registry) if wanted.registry else None
    planned = _all_planned(context, wanted.selections)
    if wanted.names:
        found = [_named(name, planned) for name in wanted.names]
    else:
        finished = [one for one in planned if one.step is one.plan.layers[-1]]
        found = [PickedImage(reference=one.plan.image, planned=one) for one in finished]
    return tuple(found if prefix is None else (_in_registry(one, prefix) for one in found))


def _in_registry(one: PickedImage, prefix: RegistryPrefix) -> PickedImage:
    """A planned image as it lies in a registry; a reference that was given stays."""
    if one.planned is None or not one.local:
        return one
    return replace(one, reference=str(prefix.image(one.planned.step.name, one.planned.step.content_id)))


def with_content_id(context: Context, selections: Sequence[Selection], content_id: str) -> PlannedLayer | None:
    """The layer with a content id; None where no plan of the selections has it."""
    return next((one for one in _all_planned(context, selections) if one.step.content_id == content_id), None)


def subject(context: Context, planned: PlannedLayer, digest: str) -> Subject:
    """What documents say of an image; the benchmark's recipe is part of it."""
    from orchestrator.images.attest.subject import subject_of

    name = planned.plan.benchmark
    recipe_sha256 = context.catalog.benchmark(name).sha256 if name else ""
    return subject_of(planned.plan, planned.step, digest, recipe_sha256)


def digest_in_engine(context: Context, reference: str) -> str:
    """The digest of an image in the engine. Raises `StepFailed` (`no-image`)."""
    facts = context.look_up()([reference])[reference]
    if facts is None:
        raise StepFailed(
            f"the engine has no image {reference}", hint="`mlorch build` makes it, `pull` gets it", slug="no-image"
        )
    return facts.digest


def _named(name: str, planned: Sequence[PlannedLayer]) -> PickedImage:
    """The image that one word means: a reference is known by the content id in its tag."""
    for one in planned:
        if name in {one.step.name, one.step.image, one.step.content_id}:
            return PickedImage(reference=one.step.image, planned=one)
    if "/" not in name:
        raise UsageError(
            f"there is no layer `{name}` in these plans",
            hint=suggestion(name, sorted({one.step.name for one in planned})),
            slug="unknown-image",
        )
    tag = name.partition("@")[0].rpartition(":")[2]
    return PickedImage(reference=name, planned=next((one for one in planned if one.step.content_id == tag), None))


def _all_planned(context: Context, selections: Sequence[Selection]) -> list[PlannedLayer]:
    """Every layer with each plan of it; a benchmark's own image before what lies below."""
    found = []
    for selection in selections:
        for plan in context.plans(selection).plans:
            found += [PlannedLayer(plan=plan, step=step) for step in reversed(plan.layers)]
    return found
