"""OCI layouts: images checked against their digests, layers unpacked and limited, archives written.

What is written is the same bytes whoever writes it, and whenever.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from orchestrator.facts.strict_json import strict_json
from orchestrator.images.layout.archive import BLOCK, CarefulInfo, Hashing, broken, refused
from orchestrator.images.registry.manifests import config_from, index_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import TypeAlias

    from orchestrator.images.base_layout import Folder
    from orchestrator.images.layout.archive import Archive
    from orchestrator.images.registry.manifests import Descriptor

    Layout: TypeAlias = Archive | Folder
    """Where a layout lies."""

INDEX, MARK = "index.json", "oci-layout"
"""The files of a layout besides its blobs."""
BLOBS = "blobs/sha256/"
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
    """The path of a blob in a layout."""
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
        found = strict_json(data.decode())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise broken(layout.path, f"{name} is no JSON object")
    return found


# -- what a layer unpacks to ---------------------------------------------------------------


class Unpacked:
    """The bytes that a layer, stored as ``stream`` gives it, unpacks to; ``path`` only names it in errors.

    Read in pieces, counted and hashed on the way; `finish` checks them.

    Raises:
        StepFailed: `layer-compression` for one that only other tools unpack (zstd).
    """

    def __init__(self, stream: IO[bytes], layer: LayerBlob, path: Path) -> None:
        if not _is_gzip(layer) and not layer.media_type.endswith(("tar", "tar.v1", "diff.tar")):
            raise refused(path, f"the layer {layer.digest} is of the kind {layer.media_type}", slug="layer-compression")
        self._layer, self.path = layer, path
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
            raise broken(self.path, f"the layer {self._layer.digest} cannot be unpacked ({error})") from None
        self.count += len(data)
        self._empty += not data
        if self._empty > _MOST_EMPTY:
            raise broken(self.path, f"the layer {self._layer.digest} ends inside a file of it")
        if self.count > self._room:
            raise refused(self.path, f"the layer {self._layer.digest} unpacks to more than {self._room >> 20} MiB")
        self._digest.update(data)
        return data

    def finish(self) -> int:
        """Read the rest and compare with the layer's id; gives all its bytes. Raises `StepFailed`."""
        while self.read():
            pass
        if f"sha256:{self._digest.hexdigest()}" != self._layer.diff_id:
            raise broken(self.path, f"the layer {self._layer.digest} does not unpack to {self._layer.diff_id}")
        return self.count


def _is_gzip(layer: LayerBlob) -> bool:
    return layer.media_type.endswith(("gzip", ".gz"))


@contextmanager
def layer_tar(content: Unpacked) -> Iterator[tarfile.TarFile]:
    """The files of a layer, read as a stream. Raises `StepFailed` (`bad-archive`) where it is no tar."""
    try:
        with tarfile.open(fileobj=content, mode="r|", tarinfo=CarefulInfo) as tar:  # type: ignore[call-overload]  # it reads
            yield tar
    except RecursionError:
        raise refused(content.path, "a layer has extended headers about extended headers, without end") from None
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise broken(content.path, f"a layer is no tar file ({error})") from None


# -- written -------------------------------------------------------------------------------


@dataclass(slots=True)
class Pack:
    """An archive that is being written; ``files`` are the hash and the bytes of each file in it so far."""

    tar: tarfile.TarFile
    files: dict[str, tuple[str, int]] = field(default_factory=dict)

    def add(self, name: str, source: bytes | IO[bytes], size: int) -> str:
        """A file of ``size`` bytes under ``name``; gives the hash of what it held, as it passed."""
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = size, 0o644, 0
        stream = Hashing(io.BytesIO(source) if isinstance(source, bytes) else source)
        self.tar.addfile(member, stream)
        self.files[name] = (stream.sha256, stream.count)
        return stream.sha256

    def add_data(self, name: str, data: bytes) -> None:
        """A small file."""
        self.add(name, data, len(data))

    def add_path(self, name: str, path: Path) -> str:
        """A file of this machine; gives the hash of what it held."""
        with path.open("rb") as stream:
            return self.add(name, stream, os.fstat(stream.fileno()).st_size)

    def add_index(self, images: Iterable[Descriptor]) -> None:
        """What makes a layout of the blobs beside it: its mark, and the index of its images."""
        self.add_data(MARK, json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        self.add_data(INDEX, index_of(tuple(images)).data)

    def add_blob(self, digest: str, source: IO[bytes], size: int) -> bool:
        """A blob; False where what passed is not what its digest says, and the archive is of no use."""
        return f"sha256:{self.add(blob_name(digest), source, size)}" == digest


@contextmanager
def packing(out: IO[bytes] | Hashing) -> Iterator[Pack]:
    """Writes an archive to ``out``, as a stream."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]  # it writes
        yield Pack(tar)
