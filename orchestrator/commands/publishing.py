"""Publishing for `build --push` and `images push`: what is sent, what is written, what is shown."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.commands.wiring import Workbench
    from orchestrator.console import Console
    from orchestrator.execute.publish import Indexed, Pushed
    from orchestrator.model.steps import BuildPlan, LayerStep


def publish(
    bench: Workbench,
    plans: Sequence[BuildPlan],
    registry: str,
    console: Console,
    *,
    tag: str = "latest",
    overwrite: bool = False,
) -> dict[str, object]:
    """Push the layers of `plans` and name the finished images; gives the document of it.

    Raises:
        UsageError: `registry` is no place in a registry.
        StepFailed: `image-missing`, a finished image is not in the engine.
        RegistryError: as `Publisher.push`.
    """
    from orchestrator.commands.build_view import BuildView
    from orchestrator.execute.publish import Publisher
    from orchestrator.layers import merge_layers
    from orchestrator.registries.client import Registry
    from orchestrator.registries.references import parse_place

    place = parse_place(registry)
    _require_images(bench, plans)
    with BuildView(console, plans) as view:
        publisher = Publisher(
            engine=bench.engine,
            place=place,
            client=Registry.at(place.host),
            overwrite=overwrite,
            warn=console.warn,
            on_layer=view.layer,
            on_event=view.event,
        )
        pushed = publisher.push(merge_layers(plans))
        digests = {one.image.content_id: one.image.digest for one in pushed}
        indexes = [publisher.index(plan, digests[plan.layers[-1].content_id], tag) for plan in plans if tag]
    return _document(str(place), pushed, indexes)


def _require_images(bench: Workbench, plans: Sequence[BuildPlan]) -> None:
    from orchestrator.errors import StepFailed

    found = bench.look_up()([plan.image for plan in plans])
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

    from orchestrator.execute.published import Published, write_published

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
    if output:
        console.result(f"digests are in {output}; `images: {output}` in mlorch.yaml binds them")
