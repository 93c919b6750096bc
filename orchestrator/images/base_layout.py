"""A base image from an OCI layout or archive on this machine: its digest, and a folder that BuildKit reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.definitions.expand import expanded
from orchestrator.errors import StepFailed, UsageError
from orchestrator.host import untrusted
from orchestrator.host.file_lock import locked
from orchestrator.host.files import sha256_file
from orchestrator.host.scratch import scratch_folder
from orchestrator.images.layout.archive import LARGEST_JSON, broken, opened, require_plain
from orchestrator.images.layout.oci import BLOBS, INDEX, MARK, descriptors_of, small_blob

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.images.layout.archive import Archive
    from orchestrator.plan.build.bases import Base

MOST_BYTES = 64 * 2**30
"""The most that an archive may unpack to: more is a bomb, not an image."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder whose files are read as input: no links followed, limited."""

    path: Path

    def find(self, name: str) -> int | None:
        """Bytes of a file; None where there is no regular file."""
        try:
            with untrusted.opened(self.path, name) as stream:
                return stream.seek(0, 2)
        except untrusted.UnreadableFile:
            return None

    def read(self, name: str, limit: int = LARGEST_JSON) -> bytes:
        """A small file. Raises `StepFailed` (`bad-archive`)."""
        try:
            return untrusted.read_bytes(self.path, name, limit)
        except untrusted.UnreadableFile as error:
            raise broken(self.path, f"its {name} {error.reason}") from None


def with_layout(base: Base, cache: Path) -> Base:
    """`base` with the digest of the image in its layout and the folder where the layout lies.

    An archive (a tar of a layout, as `docker save` or `skopeo copy` write) is unpacked
    once into `cache`, by the hash of its bytes. Other kinds of base are given back as they are.

    Raises:
        UsageError: nothing there (`missing-base`), not an OCI layout or hostile (`bad-oci`).
    """
    if base.kind != "oci":
        return base
    path = expanded(base.path).absolute()
    if not path.exists():
        raise UsageError(
            f"--base-source oci:{base.path}: there is nothing at {path}",
            hint="give a folder with an OCI layout or a tar of one",
            slug="missing-base",
        )
    try:
        if not path.is_dir():
            require_plain(path)
        folder = path if path.is_dir() else _unpacked(path, cache)
        return replace(base, path=str(folder), digest=_digest(folder))
    except (StepFailed, OSError) as error:
        why = error.message if isinstance(error, StepFailed) else str(error)
        raise UsageError(
            f"{path} is no OCI layout that can be used: {why}",
            hint="`docker save` (containerd image store) and `skopeo copy … oci-archive:FILE` write one",
            slug="bad-oci",
        ) from None


def _digest(folder: Path) -> str:
    """The digest of the one image, or index of several platforms, that a layout holds."""
    layout = Folder(folder)
    found = descriptors_of(layout)
    if len(found) != 1:
        raise broken(folder, f"it holds {len(found)} images, not one")
    return small_blob(layout, found[0])[0]


def _unpacked(path: Path, cache: Path) -> Path:
    """The folder where the layout of an archive lies unpacked, by the hash of the archive's bytes."""
    name = sha256_file(path)
    folder = cache / "oci" / name
    with locked(cache / "locks" / f"oci-{name}.lock", needed=False):
        if not folder.is_dir():
            with opened(path, packed=True, most_bytes=MOST_BYTES) as archive:
                _unpack(archive, folder)
    return folder


def _unpack(archive: Archive, out: Path) -> None:
    """Write the layout in an archive to the folder ``out``, whole or not at all, every blob hashed on the way.

    Raises:
        StepFailed: `hostile-archive`, it would take too much; `bad-archive`, a blob is not what its name says.
        OSError: the disk is full.
    """
    names = [name for name in archive.members if name in {INDEX, MARK} or name.startswith(BLOBS)]
    with scratch_folder(out.parent, ".unpack-") as scratch:
        folder = scratch / "layout"
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as stream:
                found = archive.read_through(name, stream)
            if name.startswith(BLOBS) and name != BLOBS + found:
                raise broken(archive.path, f"`{name}` is not what its name says")
        try:
            folder.rename(out)
        except OSError:
            if not out.is_dir():  # else another made it meanwhile, of the same bytes
                raise
