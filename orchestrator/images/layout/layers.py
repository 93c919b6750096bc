"""What the layers of an image unpack to: counted, limited, and compared with the image's configuration."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from orchestrator.images.layout.archive import BLOCK, CarefulInfo, broken, refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise broken(content.path, f"a layer is no tar file ({error})") from None
