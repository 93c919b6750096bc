"""Publishing for `build --push` and `images push`: what is sent, what is written, what is shown."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.facts.references import RegistryPrefix
    from orchestrator.facts.steps import BuildPlan, LayerStep
    from orchestrator.images.attest.keys import Signer
    from orchestrator.images.publish import Indexed, Pushed
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection


def publish(
    context: Context,
    plans: Sequence[BuildPlan],
    registry: str,
    console: Console,
    *,
    tag: str = "latest",
    overwrite: bool = False,
    signer: Signer | None = None,
    sides: Sequence[BuildPlan] = (),
) -> dict[str, object]:
    """Push the layers of `plans` and name the finished images; gives the document of it.

    `sides` (see `prep_selection`) are pushed by their content ids only. SBOM and provenance go
    beside each finished image, with `signer` signed as the image itself.

    Raises:
        UsageError: `registry` is no place in a registry.
        StepFailed: `image-missing`, a finished image is not in the engine.
        RegistryError: as `Publisher.push`.
    """
    from orchestrator.commands.build_view import BuildView
    from orchestrator.facts.references import parse_registry_prefix
    from orchestrator.images.publish import Publisher
    from orchestrator.images.registry.client import Registry
    from orchestrator.plan.build.layers import merge_layers

    place = parse_registry_prefix(registry)
    _require_images(context, plans)
    with BuildView(console, merge_layers((*sides, *plans))) as view:
        publisher = Publisher(
            engine=context.engine,
            place=place,
            client=Registry.at(place.host),
            overwrite=overwrite,
            warn=console.warn,
            on_layer=view.layer,
            on_event=view.event,
        )
        pushed = publisher.push(merge_layers((*sides, *plans)))  # finished images come last
        digests = {one.image.content_id: one.image.digest for one in pushed}
        indexes = [publisher.index(plan, digests[plan.layers[-1].content_id], tag) for plan in plans if tag]
    documents = [made for plan in plans if (made := _with_documents(context, plan, place, signer, console)) is not None]
    return {**_document(str(place), pushed, indexes), "documents": documents}


def prep_selection(context: Context, selection: Selection, plans: Sequence[BuildPlan]) -> Selection | None:
    """The side image that prepares models and data of the plans' benchmarks; None where all come prepared.

    Without it `mlorch run --no-build` could not work on a machine that has no models and data yet.
    """
    from dataclasses import replace

    for plan in plans:
        if not plan.benchmark:
            continue
        benchmark = context.catalog.benchmark(plan.benchmark).definition
        model, dataset = context.catalog.model(benchmark.model), context.catalog.dataset(benchmark.dataset)
        if model.definition.prepare or dataset.definition.prepare:
            return replace(selection, benchmarks=(), side="prep")
    return None


def _with_documents(
    context: Context, plan: BuildPlan, place: RegistryPrefix, signer: Signer | None, console: Console
) -> dict[str, object] | None:
    """Put SBOM and provenance beside the finished image of a plan; None where the registry takes images only.

    Raises:
        RegistryError: the same with a key: who wants a signature must not believe that there is one.
    """
    from orchestrator.commands.images_pick import Pick
    from orchestrator.commands.images_sign import sign_one
    from orchestrator.errors import RegistryError

    top = plan.layers[-1]
    reference = str(place.image(top.name, top.content_id))
    try:
        return sign_one(context, Pick(reference=reference, plan=plan, step=top), signer)
    except RegistryError as error:
        if signer is not None or error.slug != "registry-refused":
            raise
        console.warn(f"{reference} is published, but without its SBOM and provenance: {error.message}")
        return None


def _require_images(context: Context, plans: Sequence[BuildPlan]) -> None:
    from orchestrator.errors import StepFailed

    found = context.look_up()([plan.image for plan in plans])
    for plan in plans:
        if found[plan.image] is None:
            top: LayerStep = plan.layers[-1]
            raise StepFailed(
                f"the image of `{top.name}` is not in the engine, so it cannot be published",
                hint="`mlorch build --push REGISTRY` builds and publishes",
                slug="image-missing",
            )


def _document(place: str, pushed: Sequence[Pushed], indexes: Sequence[Indexed]) -> dict[str, object]:
    return {
        "registry": place,
        "pushed": [{**asdict(one.image), "state": one.state, "reference": one.reference} for one in pushed],
        "indexes": [asdict(one) for one in indexes],
    }


def write_list(path: str, documents: Sequence[dict[str, object]]) -> None:
    """The published list of what was pushed. Raises `WriteFailed`."""
    from dataclasses import fields

    from orchestrator.images.published_list import Published, write_published

    names = [field.name for field in fields(Published)]
    rows = [row for document in documents for row in document["pushed"]]  # type: ignore[attr-defined]  # our own lists
    found = {row["content_id"]: Published(**{name: row[name] for name in names}) for row in rows}
    write_published(Path(path), found.values())


def show(console: Console, document: dict[str, object], output: str) -> None:
    """What a person sees of it."""
    rows: list[dict[str, str]] = document["pushed"]  # type: ignore[assignment]  # made above
    width = max((len(row["layer"]) for row in rows), default=0)
    for row in rows:
        console.result(f"  {row['state']:6} {row['layer']:{width}}  {row['content_id'][:12]}  {row['digest']}")
    sent = sum(row["state"] == "pushed" for row in rows)
    console.result(f"{document['registry']}: {len(rows)} layers published, {sent} of them now")
    for index in document["indexes"]:  # type: ignore[attr-defined]
        console.result(f"  {index['reference']} names {', '.join(index['platforms'])}")
    for made in document["documents"]:  # type: ignore[attr-defined]
        what = "signature, SBOM and provenance" if made["signed"] else "SBOM and provenance"
        console.result(f"  {what} beside {made['image']}")
    if output:
        console.result(f"digests are in {output}; `images: {output}` in mlorch.yaml binds them")
