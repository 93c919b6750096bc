"""Images in an OCI layout that lies in a tar, as engines save them: every blob checked against its digest."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from orchestrator.images.attest.archive import BLOCK, refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orchestrator.errors import StepFailed
    from orchestrator.images.attest.archive import Archive

_BLOBS = "blobs/sha256/"
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_MOST_LAYERS = 1000
_LEAST_ROOM, _MOST_RATIO = 64 << 20, 200
"""A layer may unpack to 64 MiB, or to 200 times its size: libraries stay below 10, a bomb of zeros has 1000."""

_MOST_EMPTY = 64
"""Reads beyond the end: tarfile skips a file that claims to be huge block by block, for years if it is let."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBlob:
    """A layer as it is stored: digest and bytes; ``diff_id`` is the digest of what it unpacks to."""

    digest: str
    size: int
    media_type: str
    diff_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidImage:
    """An image of a layout: the digest of its manifest, its configuration, its layers from the bottom."""

    reference: str
    digest: str
    config_digest: str
    platform: str
    labels: Mapping[str, str]
    layers: tuple[LayerBlob, ...]
    config: Mapping[str, object] = field(repr=False)

    @property
    def blobs(self) -> tuple[str, ...]:
        """Every blob that it needs."""
        return (self.digest, self.config_digest, *(layer.digest for layer in self.layers))


def blob_name(digest: str) -> str:
    """The place of a blob in a layout."""
    return _BLOBS + digest.removeprefix("sha256:")


def images_of(archive: Archive) -> tuple[LaidImage, ...]:
    """The images of a layout. Manifests and configurations are read and hashed, layers only looked up.

    Raises:
        StepFailed: `bad-archive`, it is no layout, or a blob that an image needs is missing,
            of another size, or not what its digest says.
    """
    index = _document(archive, "index.json", archive.read("index.json"))
    version = _document(archive, "oci-layout", archive.read("oci-layout")).get("imageLayoutVersion")
    if not str(version).startswith("1."):
        raise _broken(archive.path, f"its layout is of version {version!r}, not 1")
    descriptors = index.get("manifests")
    if not isinstance(descriptors, list) or not descriptors:
        raise _broken(archive.path, "its index lists no image")
    return tuple(_image(archive, descriptor) for descriptor in descriptors)


def _image(archive: Archive, descriptor: object) -> LaidImage:
    digest, data = _blob(archive, descriptor)
    assert isinstance(descriptor, dict), "_blob has seen it"
    manifest = _document(archive, digest, data)
    if "manifests" in manifest:
        raise _broken(archive.path, f"{digest} is an index of several platforms; an image of one is needed")
    config_digest, config_data = _blob(archive, manifest.get("config"))
    config = _document(archive, config_digest, config_data)
    annotations = descriptor.get("annotations") or {}
    names = [annotations[name] for name in _NAMES if name in annotations] if isinstance(annotations, dict) else []
    inner = config.get("config")
    labels = (inner.get("Labels") or {}) if isinstance(inner, dict) else {}
    return LaidImage(
        reference=str(next((name for name in names if "/" in str(name)), "")),
        digest=digest,
        config_digest=config_digest,
        platform=f"{config.get('os', 'linux')}/{config.get('architecture', '')}",
        labels={str(k): str(v) for k, v in labels.items()} if isinstance(labels, dict) else {},
        layers=_layers(archive, manifest, config),
        config=config,
    )


def _layers(archive: Archive, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[LayerBlob, ...]:
    described, root = manifest.get("layers"), config.get("rootfs")
    ids = root.get("diff_ids") if isinstance(root, dict) else None
    if not isinstance(described, list) or not isinstance(ids, list) or len(described) != len(ids):
        raise _broken(archive.path, "a manifest and its configuration disagree about the layers")
    if len(ids) > _MOST_LAYERS:
        raise refused(archive.path, f"an image has {len(ids)} layers")
    layers = []
    for descriptor, diff_id in zip(described, ids, strict=True):
        digest, size = _described(archive, descriptor)
        kind = str(descriptor.get("mediaType", ""))
        layers.append(LayerBlob(digest=digest, size=size, media_type=kind, diff_id=str(diff_id)))
    return tuple(layers)


def _described(archive: Archive, descriptor: object) -> tuple[str, int]:
    """Digest and size of a blob that is there with that size."""
    if not isinstance(descriptor, dict):
        raise _broken(archive.path, "it holds something that is no descriptor")
    digest, size = str(descriptor.get("digest", "")), descriptor.get("size")
    value = digest.removeprefix("sha256:")
    if not digest.startswith("sha256:") or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise _broken(archive.path, f"`{digest[:100]}` is no sha256 digest")
    found = archive.members.get(blob_name(digest))
    if found is None:
        raise _broken(archive.path, f"the blob {digest} is named in it, but is not there")
    if found.size != size:
        raise _broken(archive.path, f"the blob {digest} has {found.size} bytes instead of {size}")
    return digest, found.size


def _blob(archive: Archive, descriptor: object) -> tuple[str, bytes]:
    digest, _ = _described(archive, descriptor)
    data = archive.read(blob_name(digest))
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise _broken(archive.path, f"the blob {digest} is not what its digest says")
    return digest, data


def _document(archive: Archive, name: str, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _broken(archive.path, f"{name} is no JSON object")
    return found


def _broken(path: Path, why: str) -> StepFailed:
    return refused(path, why, slug="bad-archive")


# -- what a layer unpacks to ---------------------------------------------------------------


class Unpacked:
    """The bytes that a layer unpacks to, read in pieces, counted and hashed on the way; `finish` checks them."""

    def __init__(self, stream: IO[bytes], layer: LayerBlob, path: Path) -> None:
        self._layer, self._path = layer, path
        self._stream: IO[bytes] = gzip.GzipFile(fileobj=stream) if _is_gzip(layer) else stream  # type: ignore[assignment]  # near enough
        self._room = max(_LEAST_ROOM, _MOST_RATIO * layer.size)
        self._digest = hashlib.sha256()
        self.count = 0
        self._empty = 0

    def read(self, size: int = BLOCK) -> bytes:
        """The next bytes. Raises `StepFailed`: broken data, or more than any honest layer unpacks to."""
        try:
            data = self._stream.read(min(size, BLOCK) if size > 0 else BLOCK)
        except (OSError, EOFError, zlib.error) as error:
            raise _broken(self._path, f"the layer {self._layer.digest} cannot be unpacked ({error})") from None
        self.count += len(data)
        self._empty += not data
        if self._empty > _MOST_EMPTY:
            raise _broken(self._path, f"the layer {self._layer.digest} ends inside a file of it")
        if self.count > self._room:
            raise refused(self._path, f"the layer {self._layer.digest} unpacks to more than {self._room >> 20} MiB")
        self._digest.update(data)
        return data

    def finish(self) -> int:
        """Read the rest and compare with the layer's id; gives all its bytes. Raises `StepFailed`."""
        while self.read():
            pass
        if f"sha256:{self._digest.hexdigest()}" != self._layer.diff_id:
            raise _broken(self._path, f"the layer {self._layer.digest} does not unpack to {self._layer.diff_id}")
        return self.count


def _is_gzip(layer: LayerBlob) -> bool:
    return layer.media_type.endswith(("gzip", ".gz"))


@contextmanager
def unpacked(stream: IO[bytes], layer: LayerBlob, path: Path) -> Iterator[Unpacked]:
    """What ``layer``, stored as ``stream`` gives it, unpacks to; ``path`` only names it in errors.

    Raises:
        StepFailed: `layer-compression` for one that only other tools unpack (zstd).
    """
    if not _is_gzip(layer) and not layer.media_type.endswith(("tar", "tar.v1", "diff.tar")):
        raise refused(path, f"the layer {layer.digest} is of the kind {layer.media_type}", slug="layer-compression")
    yield Unpacked(stream, layer, path)
