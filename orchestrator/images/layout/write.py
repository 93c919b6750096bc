"""Writes archives of layouts: the same bytes whoever writes them, and whenever."""

from __future__ import annotations

import io
import json
import os
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from orchestrator.images.layout.archive import Hashing
from orchestrator.images.layout.read import INDEX, MARK, blob_name
from orchestrator.images.registry.manifests import index_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from orchestrator.images.registry.manifests import Descriptor


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
