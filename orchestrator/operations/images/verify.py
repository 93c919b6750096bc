"""`images verify`: is an image what the plan says, and do its documents tell the truth about it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.references import parse_reference
from orchestrator.images.attest import evidence
from orchestrator.images.attest.check import Check, check_all, good
from orchestrator.images.registry.client import Registry
from orchestrator.operations.images.pick import digest_in_engine, pick, subject, with_content_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.images.attest.check import Evidence
    from orchestrator.images.attest.keys import Verifier
    from orchestrator.operations.context import Context
    from orchestrator.operations.images.pick import Pick
    from orchestrator.operations.plan_cache import Selection

_BROKEN = frozenset({"digest-mismatch", "bad-archive", "hostile-archive", "bad-manifest"})
"""Slugs of bytes that are not what their digest says: a failed check, not an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """Which images; with a verifier each has to be signed with its key."""

    selections: tuple[Selection, ...]
    names: tuple[str, ...] = ()
    """layers or references; empty means the finished images of the selections"""
    registry: str = ""
    """HOST[:PORT][/PATH]: the images as they lie there, not in the engine"""
    verifier: Verifier | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedImage:
    """What the checks of an image gave: an element of `images` in the JSON of `images verify`."""

    image: str
    good: bool
    checks: tuple[Check, ...]


def verify(context: Context, request: VerifyRequest) -> Iterator[VerifiedImage]:
    """Check each image against the plan and its documents; gives each as soon as it is checked.

    An image of a registry needs no engine.

    Raises:
        UsageError: `unknown-image`.
        StepFailed, RegistryError, EngineError: an image is not there, or cannot be had.
    """
    for one in pick(context, request.selections, request.names, request.registry):
        checks = _checks(context, one, request)
        yield VerifiedImage(image=one.reference, good=good(checks), checks=checks)


def _checks(context: Context, one: Pick, request: VerifyRequest) -> tuple[Check, ...]:
    try:
        found = _evidence(context, one, request)
    except StepFailed as error:
        if error.slug not in _BROKEN:
            raise
        hint = "do not use it: pull, load or push it again from a source that you trust"
        return (Check(name="digest", passed=False, detail=error.message, hint=hint),)
    planned = one.planned
    if planned is None:
        label = found.image.labels.get("org.mlorch.content-id", "")
        planned = with_content_id(context, request.selections, label)
    wanted = subject(context, planned, found.image.digest) if planned is not None else None
    return check_all(found, wanted, request.verifier.verify if request.verifier is not None else None)


def _evidence(context: Context, one: Pick, request: VerifyRequest) -> Evidence:
    if one.local:
        return evidence.of_engine(context.engine, one.reference, digest_in_engine(context, one.reference))
    reference = parse_reference(one.reference)
    if one.planned is not None:
        platform = one.planned.step.platform
    else:
        platform = context.plans(request.selections[0]).plans[0].platform
    return evidence.of_registry(Registry.at(reference.host, context.http), reference, platform)[0]
