"""`images pull`: get images from registries by digest, build none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.operations.build import build_images
from orchestrator.operations.pull_policy import PullPolicy

if TYPE_CHECKING:
    from orchestrator.facts.build import BuildPlan
    from orchestrator.images.decide import LayerOutcome
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """From where images are pulled."""

    registries: tuple[str, ...] = ()
    """asked in this order; empty means the configured ones"""
    images: str = ""
    """the file of a published list; its digests bind"""


def pull(
    context: Context, selection: Selection, request: PullRequest, progress: Progress
) -> tuple[tuple[BuildPlan, ...], tuple[LayerOutcome, ...]]:
    """Pull the images of a selection; the result is that of a build (`operations.plan.plan_document` is its JSON).

    Of each image only the highest layer is asked for: it holds those below.

    Raises:
        UsageError: `no-registries`, nothing says from where; a name that is no registry prefix.
        StepFailed: `image-missing`, no registry has it. RegistryError, EngineError.
    """
    policy = PullPolicy(pull=True, build=False, images=request.images, registries=request.registries)
    return build_images(context, selection, progress, pull_policy=policy)
