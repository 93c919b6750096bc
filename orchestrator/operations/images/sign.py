"""`images sign`: the documents of an image (SBOM, provenance), signed with a key, kept here or put beside the image."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.references import parse_reference
from orchestrator.images.attest.attach import attach
from orchestrator.images.attest.documents import documents, keep_documents
from orchestrator.images.attest.evidence import image_manifest
from orchestrator.images.registry.client import Registry
from orchestrator.operations.images.pick import digest_in_engine, pick, subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.images.attest.keys import Signer
    from orchestrator.operations.context import Context
    from orchestrator.operations.images.pick import Pick
    from orchestrator.operations.plan_cache import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class SignRequest:
    """Which images; without a signer the documents are written and nothing is signed."""

    selections: tuple[Selection, ...]
    names: tuple[str, ...] = ()
    """layers or references; empty means the finished images of the selections"""
    registry: str = ""
    """HOST[:PORT][/PATH]: the images as they lie there, not in the engine"""
    signer: Signer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedImage:
    """An image whose documents were made: an element of `images` in the JSON of `images sign`."""

    image: str
    digest: str
    place: str
    """the folder or the repository of the documents"""
    signed: bool
    attached: tuple[str, ...] = ()
    """digests of what was put beside the image in its registry"""


def sign(context: Context, request: SignRequest) -> Iterator[SignedImage]:
    """Make the documents of each image and keep them; gives each as soon as it is done.

    Raises:
        UsageError: `unknown-image`, no layer of the plans is this image.
        StepFailed: `no-image`, the engine does not have it; `content-id`, the image in the
            registry is not the one that the plan says.
        RegistryError, EngineError: it cannot be had.
    """
    for one in pick(context, request.selections, request.names, request.registry):
        yield sign_one(context, one, request.signer)


def sign_one(context: Context, one: Pick, signer: Signer | None) -> SignedImage:
    """Make the documents of an image and keep them, here or beside it in its registry. Raises as `sign`."""
    planned = one.require_planned()
    if not one.local:
        return _in_registry(context, one, signer)
    digest = digest_in_engine(context, one.reference)
    made = documents(subject(context, planned, digest), signer, planned.step.repository)
    return SignedImage(
        image=planned.step.image, digest=digest, place=str(keep_documents(made)), signed=signer is not None
    )


def _in_registry(context: Context, one: Pick, signer: Signer | None) -> SignedImage:
    planned = one.require_planned()
    reference = parse_reference(one.reference)
    registry = Registry.at(reference.host, context.http)
    manifest = image_manifest(registry, reference, planned.step.platform)
    config = json.loads(registry.read_blob(reference.repository, manifest.config().digest))
    labels = (config.get("config") or {}).get("Labels") or {}
    if labels.get("org.mlorch.content-id") != planned.step.content_id:
        raise StepFailed(
            f"{reference} is no image of layer `{planned.step.name}` as planned: its content id is "
            f"{labels.get('org.mlorch.content-id', 'none')}",
            hint="`mlorch images verify` says more; push the right image again",
            slug="content-id",
        )
    name = f"{reference.host}/{reference.repository}"
    made = documents(subject(context, planned, manifest.digest), signer, name)
    return SignedImage(
        image=str(reference),
        digest=manifest.digest,
        place=name,
        signed=signer is not None,
        attached=attach(registry, reference.repository, manifest.descriptor(), made),
    )
