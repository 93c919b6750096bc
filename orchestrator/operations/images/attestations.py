"""`images sign`, `verify`, `sbom` and `keygen`: what documents say of images, who signed it, and whether it is true."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import StepFailed
from orchestrator.facts.references import parse_reference
from orchestrator.host.files import atomic_write_bytes
from orchestrator.images.attest import evidence
from orchestrator.images.attest.attach import attach
from orchestrator.images.attest.check import Check, check_all, good
from orchestrator.images.attest.documents import documents, keep_documents
from orchestrator.images.attest.signatures import generate, load_verifier
from orchestrator.images.registry.client import Registry
from orchestrator.images.registry.images import image_config, image_manifest
from orchestrator.operations.images.pick import digest_in_engine, pick, subject, with_content_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orchestrator.images.attest.check import Evidence
    from orchestrator.images.attest.documents import Documents
    from orchestrator.images.attest.signatures import Signer, Verifier
    from orchestrator.operations.context import Context
    from orchestrator.operations.images.pick import ImageSelection, PickedImage

_BROKEN = frozenset({"digest-mismatch", "bad-archive", "hostile-archive", "bad-manifest"})
"""Slugs of bytes that are not what their digest says: a failed check, not an error."""


# -- SBOM and provenance -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDocuments:
    """SBOM (CycloneDX) and provenance (in-toto, SLSA) of an image; the same image gives the same bytes."""

    name: str
    image: str
    made: Documents

    def document(self) -> dict[str, Any]:
        """An element of `images` in the JSON of `images sbom`."""
        return {
            "name": self.name,
            "image": self.image,
            "digest": self.made.digest,
            "sbom": json.loads(self.made.sbom),
            "provenance": json.loads(self.made.provenance),
        }


def sbom(context: Context, images: ImageSelection) -> tuple[ImageDocuments, ...]:
    """The documents of each image, which the engine has.

    Raises:
        UsageError: `unknown-image`, no layer of the plans is this image.
        StepFailed: `no-image`, the engine does not have it. EngineError.
    """
    found = []
    for one in pick(context, images):
        planned = one.require_planned()
        made = documents(subject(context, planned, digest_in_engine(context, planned.step.image)))
        found.append(ImageDocuments(name=planned.step.name, image=planned.step.image, made=made))
    return tuple(found)


def write_documents(found: Sequence[ImageDocuments], folder: Path) -> tuple[Path, ...]:
    """Write NAME.cdx.json and NAME.provenance.json of each image into ``folder``; gives the paths.

    Raises:
        WriteFailed: the disk is full, or ``folder`` cannot be written to.
    """
    written = []
    for one in found:
        for ending, data in (("cdx", one.made.sbom), ("provenance", one.made.provenance)):
            path = folder / f"{one.name}.{ending}.json"
            atomic_write_bytes(path, data, overwrite=True)
            written.append(path)
    return tuple(written)


# -- keys and signatures -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """The files of the pair, and the sha256 of the public key: the JSON of `images keygen`."""

    key: Path
    pub: Path
    sha256: str


def keygen(prefix: Path, password: str = "") -> KeyPair:
    """Make a key pair (ECDSA on P-256, PEM): PREFIX.key (0600) and PREFIX.pub.

    An empty password leaves the private key unencrypted.

    Raises:
        WriteFailed: a file is there already, or cannot be written; then there is neither.
    """
    private, public = generate(password)
    key, pub = prefix.with_name(f"{prefix.name}.key"), prefix.with_name(f"{prefix.name}.pub")
    atomic_write_bytes(key, private, mode=0o600)
    try:
        atomic_write_bytes(pub, public, mode=0o644)
    except BaseException:
        key.unlink()  # half a pair helps nobody
        raise
    return KeyPair(key=key, pub=pub, sha256=load_verifier(pub).fingerprint)


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


def sign(context: Context, images: ImageSelection, signer: Signer | None = None) -> Iterator[SignedImage]:
    """Make the documents of each image and keep them, here or beside it in its registry; gives each when it is done.

    Without a signer the documents are written and nothing is signed.

    Raises:
        UsageError: `unknown-image`, no layer of the plans is this image.
        StepFailed: `no-image`, the engine does not have it; `content-id`, the image in the
            registry is not the one that the plan says.
        RegistryError, EngineError: it cannot be had.
    """
    for one in pick(context, images):
        yield sign_one(context, one, signer)


def sign_one(context: Context, one: PickedImage, signer: Signer | None) -> SignedImage:
    """Make the documents of one image and keep them. Raises as `sign`."""
    planned = one.require_planned()
    if not one.local:
        return _sign_in_registry(context, one, signer)
    digest = digest_in_engine(context, one.reference)
    made = documents(subject(context, planned, digest), signer, planned.step.repository)
    return SignedImage(
        image=planned.step.image, digest=digest, place=str(keep_documents(made)), signed=signer is not None
    )


def _sign_in_registry(context: Context, one: PickedImage, signer: Signer | None) -> SignedImage:
    step = one.require_planned().step
    reference = parse_reference(one.reference)
    registry = Registry.at(reference.host, context.http)
    manifest = image_manifest(registry, reference, step.platform)
    found = image_config(registry, reference.repository, manifest).labels.get("org.mlorch.content-id", "none")
    if found != step.content_id:
        raise StepFailed(
            f"{reference} is no image of layer `{step.name}` as planned: its content id is {found}",
            hint="`mlorch images verify` says more; push the right image again",
            slug="content-id",
        )
    name = f"{reference.host}/{reference.repository}"
    made = documents(subject(context, one.require_planned(), manifest.digest), signer, name)
    return SignedImage(
        image=str(reference),
        digest=manifest.digest,
        place=name,
        signed=signer is not None,
        attached=attach(registry, reference.repository, manifest.descriptor(), made),
    )


# -- checks --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedImage:
    """What the checks of an image gave: an element of `images` in the JSON of `images verify`."""

    image: str
    good: bool
    checks: tuple[Check, ...]


def verify(context: Context, images: ImageSelection, verifier: Verifier | None = None) -> Iterator[VerifiedImage]:
    """Check each image against the plan and its documents; gives each as soon as it is checked.

    With a verifier each has to be signed with its key. An image of a registry needs no engine.

    Raises:
        UsageError: `unknown-image`.
        StepFailed, RegistryError, EngineError: an image is not there, or cannot be had.
    """
    for one in pick(context, images):
        checks = _checks(context, one, images, verifier)
        yield VerifiedImage(image=one.reference, good=good(checks), checks=checks)


def _checks(context: Context, one: PickedImage, images: ImageSelection, verifier: Verifier | None) -> tuple[Check, ...]:
    try:
        found = _evidence(context, one, images)
    except StepFailed as error:
        if error.slug not in _BROKEN:
            raise
        hint = "do not use it: pull, load or push it again from a source that you trust"
        return (Check(name="digest", passed=False, detail=error.message, hint=hint),)
    planned = one.planned
    if planned is None:
        label = found.image.labels.get("org.mlorch.content-id", "")
        planned = with_content_id(context, images.selections, label)
    wanted = subject(context, planned, found.image.digest) if planned is not None else None
    return check_all(found, wanted, verifier.verify if verifier is not None else None)


def _evidence(context: Context, one: PickedImage, images: ImageSelection) -> Evidence:
    if one.local:
        return evidence.of_engine(context.engine, one.reference, digest_in_engine(context, one.reference))
    reference = parse_reference(one.reference)
    plan = one.planned.plan if one.planned is not None else context.plans(images.selections[0]).plans[0]
    return evidence.of_registry(Registry.at(reference.host, context.http), reference, plan.platform)
