"""`images prune`: remove images that no plan needs any more, and what runs of removed images left."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.host.detect import platform_of
from orchestrator.host.folders import cache_home
from orchestrator.images.prune import ID_LABEL, PrunedImage, freed, own_images, remove_images, unneeded
from orchestrator.operations.images.in_use import current_ids
from orchestrator.runs.artifacts import remove_artifacts, sizes_of_artifacts

if TYPE_CHECKING:
    from orchestrator.operations.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneResult:
    """The JSON of `images prune`; ``bytes`` are those that go with the images."""

    images: tuple[PrunedImage, ...]
    bytes: int
    removed: bool
    looked_at: int
    """how many images of mlorch the engine had"""
    artifact_bytes: int
    """of the artefacts (compiled engines, quantised weights) of images that are gone, or go with this"""


def prune(context: Context, *, remove: bool = False) -> PruneResult:
    """Find, and remove when asked, images of mlorch that no plan of the current recipes has; others' are left alone.

    Artefacts go with their image, and those of images that went before.

    Raises:
        DefinitionError: a plan for this platform cannot be made, so it cannot be said what is needed.
        EngineError: no engine answers.
    """
    every = own_images(context.engine)
    needed = current_ids(context, sure_of=platform_of(os.uname().machine))
    going = unneeded(every, needed)
    if remove:
        done = remove_images(context.engine, going)
    else:
        done = tuple(PrunedImage.of(facts, "unneeded") for facts in going)
    gone = {one.reference for one in done if one.state != "kept"}
    staying = {facts.labels[ID_LABEL] for facts in every if facts.image not in gone}
    return PruneResult(
        images=done,
        bytes=freed(gone, every),
        removed=remove,
        looked_at=len(every),
        artifact_bytes=_prune_artifacts(needed | staying, remove=remove),
    )


def _prune_artifacts(needed: frozenset[str], *, remove: bool) -> int:
    """The bytes of artefacts of other images than those; removed when asked, but for those that a run works with."""
    root = cache_home() / "artifacts"
    total = 0
    for content_id, size in sizes_of_artifacts(root).items():
        if content_id not in needed and (not remove or remove_artifacts(root, content_id)):
            total += size
    return total
