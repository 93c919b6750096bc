"""What registries hold: descriptors, manifests and indexes, of OCI and of docker. Standard library only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import RegistryError
from orchestrator.facts.references import is_digest
from orchestrator.facts.strict_json import strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
LARGEST = 4 << 20
"""Bytes of the largest manifest that registries need take (OCI distribution 1.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A blob or manifest by its digest; size in bytes; ``platform`` as ``linux/arm64``, empty where it has none."""

    media_type: str
    digest: str
    size: int
    platform: str = ""
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """As it stands in a manifest or an index."""
        document: dict[str, object] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.platform:
            system, _, rest = self.platform.partition("/")
            machine, _, variant = rest.partition("/")
            document["platform"] = {"architecture": machine, "os": system, **({"variant": variant} if variant else {})}
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest or index: its very bytes, which its digest is of, and what they say."""

    media_type: str
    data: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        return digest_of(self.data)

    @property
    def document(self) -> dict[str, object]:
        """The bytes as JSON; `RegistryError` (`bad-manifest`) where they are no object."""
        try:
            found = strict_json(self.data.decode())
        except ValueError as error:  # what is no UTF-8 is one too
            raise RegistryError(f"the manifest {self.digest} is not JSON: {error}", slug="bad-manifest") from None
        if not isinstance(found, dict):
            raise RegistryError(f"the manifest {self.digest} is no JSON object", slug="bad-manifest")
        return found

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES

    def descriptor(self) -> Descriptor:
        """What an index says of it."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=len(self.data))

    def manifests(self) -> tuple[Descriptor, ...]:
        """The members of an index; empty for an image."""
        return self._descriptors("manifests")

    def member(self, platform: str) -> str | None:
        """The digest of an index's image for ``platform``; None where it has none."""
        for one in self.manifests():
            if one.platform in {platform, f"{platform}/v8"}:  # the variant of 64-bit Arm is always v8
                return one.digest
        return None

    def layers(self) -> tuple[Descriptor, ...]:
        """The layers of an image; empty for an index."""
        return self._descriptors("layers")

    def config(self) -> Descriptor:
        """An image's configuration; `RegistryError` (`bad-manifest`) where there is none."""
        return descriptor_from(self.document.get("config"))

    def _descriptors(self, key: str) -> tuple[Descriptor, ...]:
        found = self.document.get(key) or ()
        if not isinstance(found, list | tuple):
            raise RegistryError(f"`{key}` of the manifest {self.digest} is no list", slug="bad-manifest")
        return tuple(descriptor_from(item) for item in found)


def index_of(members: tuple[Descriptor, ...]) -> Manifest:
    """An OCI index; the same members give the same bytes."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [member.document() for member in members],
    }
    return Manifest(media_type=OCI_INDEX, data=json.dumps(document, separators=(",", ":")).encode())


def descriptor_from(value: object) -> Descriptor:
    """A descriptor as a manifest holds it. Raises `RegistryError` (`bad-manifest`)."""
    if not isinstance(value, dict) or not isinstance(value.get("digest"), str) or not is_digest(value["digest"]):
        raise RegistryError("a manifest holds something that is no descriptor", slug="bad-manifest")
    size = value.get("size")
    platform = value.get("platform")
    annotations = value.get("annotations")
    return Descriptor(
        media_type=str(value.get("mediaType") or ""),
        digest=value["digest"],
        size=size if type(size) is int and size >= 0 else 0,
        platform=_platform(platform) if isinstance(platform, dict) else "",
        artifact_type=str(value.get("artifactType") or ""),
        annotations={str(k): str(v) for k, v in annotations.items()} if isinstance(annotations, dict) else {},
    )


def _platform(value: Mapping[str, object]) -> str:
    parts = [str(value.get(key) or "") for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What an image's configuration says of it: ``platform`` as ``linux/arm64``; both empty where it does not."""

    platform: str
    labels: Mapping[str, str]


def config_from(value: object) -> ImageConfig:
    """A configuration as anybody may have written it."""
    config = value if isinstance(value, dict) else {}
    inner = config.get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    return ImageConfig(
        platform=_platform({key: config.get(key) for key in ("os", "architecture")}),
        labels={str(k): str(v) for k, v in labels.items()} if isinstance(labels, dict) else {},
    )


def digest_of(data: bytes) -> str:
    """The digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
