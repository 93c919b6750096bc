"""Documents beside their image in a registry, as other tools look for them.

SBOM and provenance are OCI referrers (artifact manifests with a ``subject``; on older
registries the index under the tag ``sha256-<hex>``). A signature is cosign's manifest
under ``sha256-<hex>.sig``, signed statements its ``sha256-<hex>.att``; both are referrers too.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.errors import RegistryError
from orchestrator.images.attest import provenance, sbom
from orchestrator.images.attest.documents import Signature
from orchestrator.images.attest.signatures import (
    ENVELOPE_MEDIA_TYPE,
    PAYLOAD_MEDIA_TYPE,
    SIGNATURE_ANNOTATION,
    SIGNATURE_ARTIFACT,
)
from orchestrator.images.registry.manifests import EMPTY_CONFIG, OCI_MANIFEST, Manifest, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.images.attest.documents import Documents
    from orchestrator.images.registry.client import Registry
    from orchestrator.images.registry.manifests import Descriptor

_IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
_ATTESTATION_ARTIFACT = "application/vnd.dev.cosign.artifact.att.v1+json"
_MOST = 32
"""Documents of one kind that are looked at: more are an attempt to keep us busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A blob of an artifact, and what its manifest says of it."""

    media_type: str
    data: bytes
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """What a registry holds beside an image."""

    sboms: tuple[bytes, ...] = ()
    provenances: tuple[bytes, ...] = ()
    signatures: tuple[Signature, ...] = ()
    envelopes: tuple[bytes, ...] = ()


def as_attached(made: Documents | None) -> Attached:
    """Documents of this machine or of a bundle, as a registry would hold them beside their image."""
    if made is None:
        return Attached()
    return Attached(
        sboms=(made.sbom,),
        provenances=(made.provenance,),
        signatures=(made.signature,) if made.signature else (),
        envelopes=made.envelopes,
    )


def attach(registry: Registry, repository: str, image: Descriptor, made: Documents) -> tuple[str, ...]:
    """Put documents beside ``image``; gives the digests of what was put there. Twice is as good as once.

    Raises:
        RegistryError: as the registry's client.
    """
    bill = Layer(media_type=sbom.MEDIA_TYPE, data=made.sbom, annotations={})
    kind = {"in-toto.io/predicate-type": provenance.PREDICATE_TYPE}
    origin = Layer(media_type=provenance.MEDIA_TYPE, data=made.provenance, annotations=kind)
    put = [
        _put(registry, repository, image, sbom.MEDIA_TYPE, [bill]),
        _put(registry, repository, image, provenance.MEDIA_TYPE, [origin]),
    ]
    if made.signature is not None:
        coded = base64.b64encode(made.signature.signature).decode()
        signed = Layer(
            media_type=PAYLOAD_MEDIA_TYPE, data=made.signature.payload, annotations={SIGNATURE_ANNOTATION: coded}
        )
        put.append(_put(registry, repository, image, SIGNATURE_ARTIFACT, [signed], tag=_tag(image.digest, "sig")))
    if made.envelopes:
        kinds = (provenance.PREDICATE_TYPE, sbom.PREDICATE_TYPE)
        stated = [
            Layer(media_type=ENVELOPE_MEDIA_TYPE, data=data, annotations={"predicateType": k, SIGNATURE_ANNOTATION: ""})
            for k, data in zip(kinds, made.envelopes, strict=True)
        ]
        put.append(_put(registry, repository, image, _ATTESTATION_ARTIFACT, stated, tag=_tag(image.digest, "att")))
    return tuple(put)


def _put(
    registry: Registry, repository: str, image: Descriptor, kind: str, layers: Sequence[Layer], tag: str = ""
) -> str:
    """One artifact about ``image``; a tagged one is cosign's and looks like an image, as its readers expect."""
    ids = [digest_of(layer.data) for layer in layers]
    config = json.dumps({"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": ids}})
    body, media_type = (config.encode(), _IMAGE_CONFIG) if tag else (b"{}", EMPTY_CONFIG)
    described = []
    for layer in layers:
        blob = registry.put_blob(repository, layer.data)
        described.append(replace(blob, media_type=layer.media_type, annotations=layer.annotations).document())
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": replace(registry.put_blob(repository, body), media_type=media_type).document(),
        "layers": described,
        "subject": {"mediaType": image.media_type, "digest": image.digest, "size": image.size},
    }
    manifest = Manifest(media_type=OCI_MANIFEST, data=json.dumps(document, separators=(",", ":")).encode())
    return registry.put_manifest(repository, manifest, tag=tag).digest


def attached(registry: Registry, repository: str, digest: str) -> Attached:
    """What lies beside the image ``digest``, every blob checked against its digest.

    Raises:
        RegistryError: as the registry's client; `digest-mismatch` where a document was changed.
    """
    documents: defaultdict[str, list[bytes]] = defaultdict(list)
    signatures = []
    seen: set[str] = set()
    for layer in _layers(registry, repository, digest):
        mark = digest_of(layer.data) + layer.annotations.get(SIGNATURE_ANNOTATION, "")
        if mark in seen:
            continue
        seen.add(mark)
        if layer.media_type == PAYLOAD_MEDIA_TYPE:
            signatures.append(Signature(payload=layer.data, signature=_decoded(layer)))
        else:
            documents[layer.media_type].append(layer.data)
    return Attached(
        sboms=tuple(documents[sbom.MEDIA_TYPE]),
        provenances=tuple(documents[provenance.MEDIA_TYPE]),
        signatures=tuple(signatures),
        envelopes=tuple(documents[ENVELOPE_MEDIA_TYPE]),
    )


def _layers(registry: Registry, repository: str, digest: str) -> Iterator[Layer]:
    """The blobs of every artifact about an image: its referrers, and those under cosign's tags."""
    wanted = [one.digest for one in registry.referrers(repository, digest)]
    for ending in ("sig", "att"):
        found = registry.head_manifest(repository, _tag(digest, ending))
        if found is not None:
            wanted.append(found.digest)
    for reference in list(dict.fromkeys(wanted))[: 4 * _MOST]:
        manifest = registry.get_manifest(repository, reference)
        if manifest.is_index:
            continue
        about = manifest.document.get("subject")
        if isinstance(about, dict) and about.get("digest") != digest:
            raise RegistryError(
                f"{repository}@{reference} is listed beside {digest}, but is about {about.get('digest')}",
                hint="the registry's list was tampered with; push the image's documents again",
                slug="bad-manifest",
            )
        for layer in manifest.layers()[:_MOST]:
            data = registry.read_blob(repository, layer.digest)
            yield Layer(media_type=layer.media_type, data=data, annotations=layer.annotations)


def _decoded(layer: Layer) -> bytes:
    try:
        return base64.b64decode(layer.annotations.get(SIGNATURE_ANNOTATION, ""), validate=True)
    except (ValueError, binascii.Error):
        return b""


def _tag(digest: str, ending: str) -> str:
    """Where cosign looks: ``sha256-<hex>.<ending>``."""
    return f"{digest.replace(':', '-')}.{ending}"
