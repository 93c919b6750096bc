"""A base image from an OCI layout or archive on this machine: its digest, and a folder that BuildKit reads."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.packages.cache import locked

if TYPE_CHECKING:
    from orchestrator.plan.build.resolve import Base

_MAX_BYTES = 64 * 2**30
"""The most that an archive may unpack to: more is a bomb, not a base."""


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
    folder = path if path.is_dir() else _unpacked(path, cache)
    return replace(base, path=str(folder), digest=_digest(folder, path))


def _digest(folder: Path, named: Path) -> str:
    try:
        manifests = json.loads((folder / "index.json").read_text(encoding="utf-8"))["manifests"]
        digests = [str(manifest["digest"]) for manifest in manifests]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _bad(named, f"its index.json cannot be read ({type(error).__name__})") from None
    if len(digests) != 1:
        raise _bad(named, f"it holds {len(digests)} images, not one")
    algorithm, _, value = digests[0].partition(":")
    blob = folder / "blobs" / algorithm / value
    if algorithm != "sha256" or len(value) != 64 or not blob.is_file():
        raise _bad(named, f"its manifest {digests[0]} is not there")
    if hashlib.sha256(blob.read_bytes()).hexdigest() != value:
        raise _bad(named, f"its manifest is not what its digest says ({digests[0]})")
    return digests[0]


def _unpacked(archive: Path, cache: Path) -> Path:
    with archive.open("rb") as stream:
        name = hashlib.file_digest(stream, "sha256").hexdigest()
    place = cache / "oci" / name
    with locked(cache / "locks" / f"oci-{name}.lock"):
        if place.is_dir():
            return place
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".unpack-", dir=place.parent))
        try:
            with tarfile.open(archive) as tar:
                if sum(member.size for member in tar.getmembers()) > _MAX_BYTES:
                    raise _bad(archive, f"it would unpack to more than {_MAX_BYTES >> 30} GiB")
                # The data filter refuses absolute paths, `..`, links that lead out and device nodes.
                tar.extractall(temporary, filter="data")
            temporary.rename(place)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise _bad(archive, str(error)) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return place


def _bad(path: Path, why: str) -> UsageError:
    return UsageError(
        f"{path} is no OCI layout that can be used: {why}",
        hint="`docker save` (containerd image store) and `skopeo copy … oci-archive:FILE` write one",
        slug="bad-oci",
    )
