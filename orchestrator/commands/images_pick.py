"""Which images a command of `mlorch images` means: layers and references by name, else those of a selection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orchestrator.facts.steps import BuildPlan, LayerStep
    from orchestrator.images.attest.parts import Subject
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """One image: its reference, and the layer of a plan that it is; None where no plan has such a layer."""

    reference: str
    plan: BuildPlan | None = None
    step: LayerStep | None = None

    @property
    def local(self) -> bool:
        """Whether it is an engine's own name, not one in a registry."""
        return self.reference.startswith("localhost/")


def pick(context: Context, chosen: Sequence[Selection], names: Sequence[str], registry: str = "") -> tuple[Pick, ...]:
    """The images of ``names`` (a layer's name or a reference); the finished ones of the selection where none is named.

    With ``registry`` (HOST[:PORT][/PATH]) those of plans are meant as they lie there, not in the engine.

    Raises:
        UsageError: `unknown-image`, a name that is neither a layer of the plans nor a reference;
            `bad-registry`, no place of a registry.
    """
    from orchestrator.facts.references import parse_registry_prefix

    place = parse_registry_prefix(registry) if registry else None
    plans = [plan for selection in chosen for plan in context.plans(selection).plans]
    found = [_named(name, plans) for name in names] or [
        Pick(reference=plan.image, plan=plan, step=plan.layers[-1]) for plan in plans
    ]
    if place is None:
        return tuple(found)
    return tuple(
        replace(one, reference=str(place.image(one.step.name, one.step.content_id)))
        if one.local and one.step is not None
        else one
        for one in found
    )


def _named(name: str, plans: Sequence[BuildPlan]) -> Pick:
    """The image that one word means: a reference is known by the content id in its tag."""
    for plan, step in _steps(plans):
        if name in {step.name, step.image, step.content_id}:
            return Pick(reference=step.image, plan=plan, step=step)
    if "/" not in name:
        from orchestrator.definitions.yaml import nearest

        known = sorted({step.name for _, step in _steps(plans)})
        near = nearest(name, known)
        hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(known)}"
        raise UsageError(f"there is no layer `{name}` in these plans", hint=hint, slug="unknown-image")
    tag = name.partition("@")[0].rpartition(":")[2]
    for plan, step in _steps(plans):
        if tag == step.content_id:
            return Pick(reference=name, plan=plan, step=step)
    return Pick(reference=name)


def _steps(plans: Sequence[BuildPlan]) -> Iterator[tuple[BuildPlan, LayerStep]]:
    """Every layer with a plan of it; a benchmark's own image before what lies below."""
    for plan in plans:
        for step in reversed(plan.layers):
            yield plan, step


def with_content_id(plans: Sequence[BuildPlan], content_id: str) -> tuple[BuildPlan, LayerStep] | None:
    """The layer with a content id, and a plan that holds it."""
    return next(((plan, step) for plan, step in _steps(plans) if step.content_id == content_id), None)


def subject(context: Context, plan: BuildPlan, step: LayerStep, digest: str) -> Subject:
    """What documents say of an image; the benchmark's recipe is part of it."""
    from orchestrator.images.attest.parts import subject_of

    recipe = ("", "")
    if plan.benchmark:
        entry = context.catalog.benchmark(plan.benchmark)
        recipe = (plan.benchmark, entry.sha256)
    return subject_of(plan, step, digest, recipe)


def digest_in_engine(context: Context, reference: str) -> str:
    """The digest of an image in the engine. Raises `StepFailed` (`no-image`)."""
    facts = context.look_up()([reference])[reference]
    if facts is None:
        raise StepFailed(
            f"the engine has no image {reference}", hint="`mlorch build` makes it, `pull` gets it", slug="no-image"
        )
    return facts.digest


def password() -> str:
    """The password of a key: from the environment, else asked where a person is. Never shown, never kept."""
    import os

    import click

    from orchestrator.images.attest.keys import PASSWORD_VARIABLE
    from orchestrator.operations.context import is_terminal

    if (given := os.environ.get(PASSWORD_VARIABLE)) is not None:
        return given
    return str(click.prompt("password of the key", hide_input=True, err=True, default="")) if is_terminal() else ""


def require_folder(path: Path) -> None:
    """A folder to write to has to be there: a mistyped path must not make a tree."""
    if not path.is_dir():
        raise UsageError(f"the folder {path} does not exist", hint="make it, or name another one", slug="missing-path")
