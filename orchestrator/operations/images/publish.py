"""`images push` and `build --push`: images sent to a registry, named, and their documents put beside them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import RegistryError, StepFailed
from orchestrator.facts.references import parse_registry_prefix
from orchestrator.images.publish import Indexed, Publisher, Pushed, write_published
from orchestrator.images.registry.client import Registry
from orchestrator.operations.build import build_images
from orchestrator.operations.images.attestations import SignedImage, sign_one
from orchestrator.operations.images.pick import PickedImage, PlannedLayer
from orchestrator.plan.build.layers import merge_layers
from orchestrator.plan.run.scoring import LAYER as SCORING_LAYER
from orchestrator.plan.run.scoring import is_scored

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.facts.build import BuildPlan
    from orchestrator.facts.references import RegistryPrefix
    from orchestrator.images.attest.signatures import Signer
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import Progress, Talk


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """Where images go and under which name people find them; with a signer they and their documents are signed."""

    registry: str
    """HOST[:PORT][/PATH]"""
    tag: str = "latest"
    """for the finished images, of every platform; empty gives none"""
    overwrite: bool = False
    """whether other bytes under a content id are replaced"""
    signer: Signer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What was published: ``document`` is the JSON of `images push`, and a part of that of `build --push`."""

    registry: str
    pushed: tuple[Pushed, ...]
    indexes: tuple[Indexed, ...]
    documents: tuple[SignedImage, ...]
    """of the finished images, as they lie beside them"""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "registry": self.registry,
            "pushed": [{**asdict(one.image), "state": one.state, "reference": one.reference} for one in self.pushed],
            "indexes": [asdict(one) for one in self.indexes],
            "documents": [asdict(one) for one in self.documents],
        }


def push(context: Context, selection: Selection, request: PublishRequest, progress: Progress) -> Publication:
    """Publish the images of a selection that the engine has; builds nothing. Raises as `publish`."""
    plans = context.plans(selection).plans
    sides = [plan for side in side_selections(context, selection, plans) for plan in context.plans(side).plans]
    found = context.look_up()([side.image for side in sides]) if sides else {}
    if any(found[side.image] is None for side in sides):
        progress.warn("what prepares models and data is not here; `mlorch build --push` publishes it too")
        sides = []
    return publish(context, plans, request, progress, sides=sides)


def require_registry(context: Context, selection: Selection, registry: str) -> None:
    """Look at a registry before anything is built for it, by its answer for the first finished image.

    Raises `RegistryError` where it does not answer, or does not let us push there; what planning raises.
    """
    prefix = parse_registry_prefix(registry)
    top = context.plans(selection).plans[0].layers[-1]
    Registry.at(prefix.host, context.http).require_push(prefix.image(top.name, top.content_id).repository)


def publish_built(
    context: Context, selection: Selection, plans: Sequence[BuildPlan], request: PublishRequest, progress: Progress
) -> Publication:
    """Publish what a build of the selection made, and the images that work beside it, built here if need be.

    Raises as `publish` and `build_images`.
    """
    sides = [
        plan for side in side_selections(context, selection, plans) for plan in build_images(context, side, progress)[0]
    ]
    return publish(context, plans, request, progress, sides=sides)


def publish(
    context: Context,
    plans: Sequence[BuildPlan],
    request: PublishRequest,
    progress: Progress,
    *,
    sides: Sequence[BuildPlan] = (),
) -> Publication:
    """Push the layers of `plans`, name the finished images and put SBOM and provenance beside them.

    `sides` (see `side_selections`) are pushed by their content ids only.

    Raises:
        UsageError: `bad-registry`, `request.registry` is no registry prefix.
        StepFailed: `image-missing`, a finished image is not in the engine.
        RegistryError: as `Publisher.push`.
    """
    prefix = parse_registry_prefix(request.registry)
    _require_images(context, plans)
    steps = merge_layers((*sides, *plans))  # finished images come last
    with progress.layers(steps) as view:
        publisher = Publisher(
            engine=context.engine,
            prefix=prefix,
            client=Registry.at(prefix.host, context.http),
            overwrite=request.overwrite,
            warn=progress.warn,
            on_layer=view.layer,
            on_event=view.event,
        )
        pushed = publisher.push(steps)
        digests = {one.image.content_id: one.image.digest for one in pushed}
        named = plans if request.tag else ()
        indexes = [publisher.index(plan, digests[plan.layers[-1].content_id], request.tag) for plan in named]
    documents = [_with_documents(context, plan, prefix, request.signer, progress) for plan in plans]
    return Publication(
        registry=str(prefix),
        pushed=pushed,
        indexes=tuple(indexes),
        documents=tuple(one for one in documents if one is not None),
    )


def side_selections(context: Context, selection: Selection, plans: Sequence[BuildPlan]) -> tuple[Selection, ...]:
    """The side images of the plans' benchmarks: what prepares models and data, counts accuracies, and serves.

    Without them `mlorch run --no-build` could not work on a machine that has no models and data yet.
    """
    layers: dict[str, None] = {}
    catalog = context.catalog_for(selection.benchmarks, selection.changes)
    for name, target in dict.fromkeys((plan.benchmark, plan.target) for plan in plans if plan.benchmark):
        benchmark = catalog.benchmark(name).definition
        assets = (catalog.model(benchmark.model), catalog.dataset(benchmark.dataset))
        layers |= {each.definition.prepare.layer: None for each in assets if each.definition.prepare is not None}
        if is_scored(benchmark, catalog.harness(benchmark.harness).definition):
            layers[SCORING_LAYER] = None
        servers = (catalog.server(server).definition.images.get(target) for server in benchmark.server_names)
        layers |= {layer: None for layer in servers if layer is not None}
    return tuple(selection.beside(layer) for layer in layers)


def write_list(path: Path, publications: Sequence[Publication]) -> None:
    """Write the published list: the digests of what was pushed. Raises `WriteFailed`."""
    images = {one.image.content_id: one.image for made in publications for one in made.pushed}
    write_published(path, images.values())


def _with_documents(
    context: Context, plan: BuildPlan, prefix: RegistryPrefix, signer: Signer | None, talk: Talk
) -> SignedImage | None:
    """Put SBOM and provenance beside the finished image of a plan; None where the registry takes images only.

    Raises:
        RegistryError: the same with a key: who wants a signature must not believe that there is one.
    """
    top = plan.layers[-1]
    reference = str(prefix.image(top.name, top.content_id))
    try:
        return sign_one(context, PickedImage(reference=reference, planned=PlannedLayer(plan=plan, step=top)), signer)
    except RegistryError as error:
        if signer is not None or error.slug != "registry-refused":
            raise
        talk.warn(f"{reference} is published, but without its SBOM and provenance: {error.message}")
        return None


def _require_images(context: Context, plans: Sequence[BuildPlan]) -> None:
    found = context.look_up()([plan.image for plan in plans])
    for plan in plans:
        if found[plan.image] is None:
            raise StepFailed(
                f"the image of `{plan.layers[-1].name}` is not in the engine, so it cannot be published",
                hint="`mlorch build --push REGISTRY` builds and publishes",
                slug="image-missing",
            )
