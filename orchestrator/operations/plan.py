"""What a build would do for a selection, and why: the plans, and a decision for every layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError
from orchestrator.images.decide import layer_decisions, planned
from orchestrator.operations.pull_policy import DEFAULT_PULL_POLICY, image_sources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.facts.build import BuildPlan
    from orchestrator.images.decide import LayerDecision, LayerOutcome
    from orchestrator.images.pull import ImageSources
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import Talk
    from orchestrator.operations.pull_policy import PullPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    """The plans of a selection, and what is to be done for each of their layers."""

    plans: tuple[BuildPlan, ...]
    decisions: tuple[LayerDecision, ...]
    sources: ImageSources | None
    """The registries that were asked, which also pull; None where none was."""

    @property
    def outcomes(self) -> tuple[LayerOutcome, ...]:
        """The decisions as they are printed."""
        return tuple(planned(decision) for decision in self.decisions)


def layer_plan(
    context: Context, plans: tuple[BuildPlan, ...], sources: ImageSources | None, *, engine_needed: bool = False
) -> LayerPlan:
    """Decide for every layer of ``plans``: hit, pull, build; unknown where no engine answers.

    Raises:
        RegistryError: as `ImageSources.registry_images`.
        EngineError: no engine answers and ``engine_needed`` says that it must.
    """
    look_up = context.look_up() if engine_needed else context.try_look_up()
    try:
        decisions = layer_decisions(plans, look_up, context.images_of_layer, sources)
    except EngineError as error:
        if engine_needed:
            raise
        context.talk.warn(f"{error.message}; the plan goes on without it")
        decisions = layer_decisions(plans, None, context.images_of_layer, sources)
    return LayerPlan(plans=plans, decisions=decisions, sources=sources)


def plan_images(
    context: Context, selection: Selection, talk: Talk, *, pull_policy: PullPolicy = DEFAULT_PULL_POLICY
) -> LayerPlan:
    """What a build of ``selection`` would do: the dry run of `operations.build.build_images`.

    Raises:
        UsageError, DefinitionError: unknown names, invalid recipes, a pull policy that cannot be kept.
        RegistryError: as `ImageSources.registry_images`.
    """
    plans = context.plans(selection).plans
    return layer_plan(context, plans, image_sources(context, pull_policy, talk))


def plan_document(plans: Sequence[BuildPlan], outcomes: Sequence[LayerOutcome]) -> dict[str, object]:
    """The JSON of `plan` and `build`."""
    return {
        "target": plans[0].target,
        "platform": plans[0].platform,
        "arch": plans[0].arch,
        "layers": [{**asdict(outcome), "changed": list(outcome.changed)} for outcome in outcomes],
        "images": [plan.image for plan in plans],
        "unlocked": sorted({step.name for plan in plans for step in plan.layers if step.unlocked or step.unpinned}),
    }
