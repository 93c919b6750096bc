"""Which images of ours no plan needs, what removing them frees, and their removal.

Ours is what has our name with its own content id as the tag. Whatever anybody built on
our images or named otherwise carries our labels too, and is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from orchestrator.engines import Engine, ImageFacts

OWN = "localhost/mlorch/"
ID_LABEL = "org.mlorch.content-id"


def own_images(engine: Engine) -> tuple[ImageFacts, ...]:
    """The images of ours in an engine, sorted by name."""
    found = (facts for facts in engine.images(ID_LABEL) if is_own(facts))
    return tuple(sorted(found, key=lambda facts: facts.image))


def is_own(facts: ImageFacts) -> bool:
    """Whether an image is a layer of ours under its own name."""
    return facts.image.startswith(OWN) and facts.image.rpartition(":")[2] == facts.labels.get(ID_LABEL)


def unneeded(images: Iterable[ImageFacts], needed: Collection[str]) -> tuple[ImageFacts, ...]:
    """Those of `images` whose content id no plan has; images above others first."""
    going = [facts for facts in images if facts.labels[ID_LABEL] not in needed]
    return tuple(sorted(going, key=lambda facts: (-len(facts.layers), facts.image)))


def freed(names: Collection[str], all_images: Sequence[ImageFacts]) -> int:
    """Bytes that are given back when the images of these names go: not those of layers that others hold too."""
    staying = [facts for facts in all_images if facts.image not in names]
    going = [facts for facts in all_images if facts.image in names]
    counted = list(staying)
    total = 0
    for facts in sorted(going, key=lambda facts: len(facts.layers)):
        if any(_is_below(facts, other) for other in staying):
            continue  # an image above it stays, and holds it whole
        if all(other.image_id != facts.image_id for other in counted):
            shared = [other.size for other in counted if _is_below(other, facts)]
            total += facts.size - max(shared, default=0)
        counted.append(facts)
    return total


def _is_below(one: ImageFacts, other: ImageFacts) -> bool:
    """Whether `other` holds all layers of `one`, perhaps with more above them."""
    return other.layers[: len(one.layers)] == one.layers


def remove_image(engine: Engine, reference: str) -> str:
    """Remove an image by name; gives why it stays where a container needs it. Raises `EngineError`."""
    try:
        engine.remove_image(reference)
    except MlorchError as error:
        if error.slug != "image-in-use":
            raise
        return error.message
    return ""
