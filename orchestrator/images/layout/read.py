"""Images in an OCI layout: every manifest and configuration checked against its digest, layers looked up."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.images.layout.archive import LARGEST_JSON, broken, refused
from orchestrator.images.layout.layers import LayerBlob
from orchestrator.images.registry.manifests import config_from

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INDEX, MARK = "index.json", "oci-layout"
"""The files of a layout besides its blobs."""
BLOBS = "blobs/sha256/"
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_MOST_LAYERS = 1000


class Layout(Protocol):
    """Where a layout lies: an `Archive` or a `Folder`."""

    @property
    def path(self) -> Path:
        """It lies there; names it in errors."""

    def find(self, name: str) -> int | None:
        """Bytes of a file; None where it is not there."""

    def read(self, name: str, limit: int = LARGEST_JSON) -> bytes:
        """A small file. Raises `StepFailed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidImage:
    """An image of a layout: its manifest (digest, kind, bytes), its configuration, its layers from the bottom."""

    reference: str
    digest: str
    media_type: str
    size: int
    config_digest: str
    labels: Mapping[str, str]
    layers: tuple[LayerBlob, ...]
    config: Mapping[str, object] = field(repr=False)

    @property
    def blobs(self) -> tuple[str, ...]:
        """Every blob that it needs."""
        return (self.digest, self.config_digest, *(layer.digest for layer in self.layers))


def blob_name(digest: str) -> str:
    """The place of a blob in a layout."""
    return BLOBS + digest.removeprefix("sha256:")


def images_of(layout: Layout) -> tuple[LaidImage, ...]:
    """The images of a layout. Manifests and configurations are read and hashed, layers only looked up.

    Raises:
        StepFailed: `bad-archive`, it is no layout, or a blob that an image needs is missing,
            of another size, or not what its digest says.
    """
    version = _document(layout, MARK, layout.read(MARK)).get("imageLayoutVersion")
    if not str(version).startswith("1."):
        raise broken(layout.path, f"its layout is of version {version!r}, not 1")
    return tuple(_image(layout, descriptor) for descriptor in descriptors_of(layout))


def descriptors_of(layout: Layout) -> list[object]:
    """What the index of a layout lists: an image, or an index of several platforms, each. Raises `StepFailed`."""
    found = _document(layout, INDEX, layout.read(INDEX)).get("manifests")
    if not isinstance(found, list) or not found:
        raise broken(layout.path, "its index lists no image")
    return found


def _image(layout: Layout, descriptor: object) -> LaidImage:
    digest, data = small_blob(layout, descriptor)
    assert isinstance(descriptor, dict), "small_blob has seen it"
    manifest = _document(layout, digest, data)
    if "manifests" in manifest:
        raise broken(layout.path, f"{digest} is an index of several platforms; an image of one is needed")
    config_digest, config_data = small_blob(layout, manifest.get("config"))
    config = _document(layout, config_digest, config_data)
    return LaidImage(
        reference=_reference(descriptor.get("annotations")),
        digest=digest,
        media_type=str(descriptor.get("mediaType", "")),
        size=len(data),
        config_digest=config_digest,
        labels=config_from(config).labels,
        layers=_layers(layout, manifest, config),
        config=config,
    )


def _reference(annotations: object) -> str:
    """The whole name that an index gives an image; empty where it gives none."""
    if not isinstance(annotations, dict):
        return ""
    names = (str(annotations.get(name, "")) for name in _NAMES)
    return next((name for name in names if "/" in name), "")


def _layers(layout: Layout, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[LayerBlob, ...]:
    described, root = manifest.get("layers"), config.get("rootfs")
    ids = root.get("diff_ids") if isinstance(root, dict) else None
    if not isinstance(described, list) or not isinstance(ids, list) or len(described) != len(ids):
        raise broken(layout.path, "a manifest and its configuration disagree about the layers")
    if len(ids) > _MOST_LAYERS:
        raise refused(layout.path, f"an image has {len(ids)} layers")
    layers = []
    for descriptor, diff_id in zip(described, ids, strict=True):
        digest, size = _described(layout, descriptor)
        kind = str(descriptor.get("mediaType", ""))
        layers.append(LayerBlob(digest=digest, size=size, media_type=kind, diff_id=str(diff_id)))
    return tuple(layers)


def _described(layout: Layout, descriptor: object) -> tuple[str, int]:
    """Digest and size of a blob that is there with that size."""
    if not isinstance(descriptor, dict):
        raise broken(layout.path, "it holds something that is no descriptor")
    digest, size = str(descriptor.get("digest", "")), descriptor.get("size")
    value = digest.removeprefix("sha256:")
    if not digest.startswith("sha256:") or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise broken(layout.path, f"`{digest[:100]}` is no sha256 digest")
    found = layout.find(blob_name(digest))
    if found is None:
        raise broken(layout.path, f"the blob {digest} is named in it, but is not there")
    if found != size:
        raise broken(layout.path, f"the blob {digest} has {found} bytes instead of {size}")
    return digest, found


def small_blob(layout: Layout, descriptor: object) -> tuple[str, bytes]:
    """Digest and bytes of a manifest or configuration, once they fit. Raises `StepFailed`."""
    digest, _ = _described(layout, descriptor)
    data = layout.read(blob_name(digest))
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise broken(layout.path, f"the blob {digest} is not what its digest says")
    return digest, data


def _document(layout: Layout, name: str, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise broken(layout.path, f"{name} is no JSON object")
    return found
