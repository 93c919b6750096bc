"""A submission written as one archive: beside its place first, the same bytes for the same files.

It is a tar compressed with gzip, which MLCommons' page for submissions takes: sorted names, one time, no owner.
"""

from __future__ import annotations

import gzip
import os
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.neutral import neutral
from orchestrator.host.files import require_folder, write_failure
from orchestrator.host.scratch import scratch_folder
from orchestrator.host.untrusted import LARGEST_HASHED, FilesBelow
from orchestrator.images.layout.archive import Hashing
from orchestrator.images.layout.oci import packing
from orchestrator.submissions.pack.manifest import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SUFFIX = ".tar.gz"
_BESIDE = ".mlorch-pack-"
"""Begins the name of the folder beside an archive where it is written: nobody else's begins so."""
_LEVEL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """An archive that is there: its bytes, and the hash to compare after a transport."""

    path: Path
    size: int
    sha256: str


def hashes_of(tree: Path, files: Iterable[str]) -> dict[str, str]:
    """The sha256 of files of a tree by path. Raises `UnreadableFile` for the first that cannot be read."""
    with closing(FilesBelow(tree)) as below:
        return {name: below.hash_file(name) for name in files}


def write_archive(tree: Path, files: Mapping[str, str], manifest: str, out: Path) -> Archived:
    """Pack files of a tree, each of which must have its sha256, behind their manifest.

    Raises `StepFailed`: [changed] for a file that has changed since it was hashed; [write] for a disk that is full.
    What was at ``out`` stays then, and nothing is left beside it.
    """
    require_folder(out.parent)
    try:
        with scratch_folder(out.parent, _BESIDE) as beside:
            new = beside / "new"
            with new.open("xb") as stream:
                whole = Hashing(stream)
                _write(whole, tree, files, manifest)
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(out)
    except StepFailed:
        raise
    except OSError as error:
        if error.errno is None:  # tarfile's own word for a file that shrank while it was read
            raise changed_error(tree, str(error)) from None
        raise write_failure(out, error) from error
    return Archived(path=out, size=whole.count, sha256=whole.sha256)


def _write(whole: Hashing, tree: Path, files: Mapping[str, str], manifest: str) -> None:
    stream = gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=whole, mtime=0)  # type: ignore[call-overload]  # it writes
    with closing(FilesBelow(tree)) as below, stream, packing(stream) as pack:
        pack.add_data(NAME, manifest.encode())
        for name in sorted(files):
            with below.opened(name, LARGEST_HASHED) as source:
                if pack.add(name, source, os.fstat(source.fileno()).st_size) != files[name]:
                    raise changed_error(tree, f"{name} is not what it was")


def changed_error(tree: Path, why: str) -> StepFailed:
    """The error of a tree that changes while it is packed."""
    return StepFailed(
        f"{neutral(str(tree))} changed while it was packed: {neutral(why)}",
        hint="wait until nothing writes there, and pack it again; no archive was written",
        slug="changed",
    )
