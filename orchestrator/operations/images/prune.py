"""`images prune`: remove images that no plan needs any more."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.host.detect import platform_of
from orchestrator.images.prune import ID_LABEL, Removal, freed, own_images, remove, unneeded
from orchestrator.operations.images.in_use import current_ids

if TYPE_CHECKING:
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Talk


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRequest:
    """Whether the images are removed, or only shown."""

    remove: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedImage:
    """An image that no plan needs: an element of `images` in the JSON of `images prune`."""

    layer: str
    content_id: str
    reference: str
    bytes: int
    state: str
    """unneeded (only shown), removed, or kept with the reason"""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneResult:
    """The JSON of `images prune`; ``bytes`` are those that go with the images."""

    images: tuple[PrunedImage, ...]
    bytes: int
    removed: bool
    looked_at: int
    """how many images of mlorch the engine had"""


def prune(context: Context, request: PruneRequest, talk: Talk) -> PruneResult:
    """Find, and remove when asked, images of mlorch that no plan of the current recipes has; others' are left alone.

    Raises:
        DefinitionError: a plan for this platform cannot be made, so it cannot be said what is needed.
        EngineError: no engine answers.
    """
    every = own_images(context.engine)
    going = unneeded(every, current_ids(context, talk, sure_of=platform_of(os.uname().machine)))
    if request.remove:
        done = remove(context.engine, going)
    else:
        done = tuple(Removal(image=facts, state="unneeded") for facts in going)
    return PruneResult(
        images=tuple(_row(one) for one in done),
        bytes=freed([one.image for one in done if one.state != "kept"], every),
        removed=request.remove,
        looked_at=len(every),
    )


def _row(one: Removal) -> PrunedImage:
    return PrunedImage(
        layer=one.image.labels.get("org.mlorch.layer", ""),
        content_id=one.image.labels[ID_LABEL],
        reference=one.image.image,
        bytes=one.image.size,
        state=one.state,
        why=one.why,
    )
