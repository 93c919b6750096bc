"""A base image from an OCI layout or archive on this machine: its digest, and a folder that BuildKit reads."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed, UsageError
from orchestrator.host.file_lock import locked
from orchestrator.images.layout.archive import broken, opened
from orchestrator.images.layout.folder import Folder, unpacked_layout
from orchestrator.images.layout.read import descriptors_of, small_blob

if TYPE_CHECKING:
    from orchestrator.plan.build.resolve import Base


def with_layout(base: Base, cache: Path) -> Base:
    """`base` with the digest of the image in its layout and the folder where the layout lies.

    An archive (a tar of a layout, as `docker save` or `skopeo copy` write) is unpacked
    once into `cache`, by the hash of its bytes. Other kinds of base are given back as they are.

    Raises:
        UsageError: nothing there (`missing-base`), not an OCI layout or hostile (`bad-oci`).
    """
    if base.kind != "oci":
        return base
    path = Path(base.path).expanduser().absolute()
    if not path.exists():
        raise UsageError(
            f"--base-source oci:{base.path}: there is nothing at {path}",
            hint="give a folder with an OCI layout or a tar of one",
            slug="missing-base",
        )
    try:
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


def _unpacked(archive: Path, cache: Path) -> Path:
    with archive.open("rb") as stream:
        name = hashlib.file_digest(stream, "sha256").hexdigest()
    path = cache / "oci" / name
    with locked(cache / "locks" / f"oci-{name}.lock"):
        if not path.is_dir():
            with opened(archive, packed=True) as found, unpacked_layout(found, path.parent) as folder:
                folder.rename(path)
    return path
