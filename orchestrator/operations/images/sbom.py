"""`images sbom`: what is in an image, and how it came to be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError
from orchestrator.host.files import atomic_write_bytes
from orchestrator.images.attest.documents import documents
from orchestrator.operations.images.pick import digest_in_engine, pick, subject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class SbomRequest:
    """Which images of the engine."""

    selections: tuple[Selection, ...]
    names: tuple[str, ...] = ()
    """layers or references; empty means the finished images of the selections"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDocuments:
    """SBOM (CycloneDX) and provenance (in-toto, SLSA) of an image; the same image gives the same bytes."""

    name: str
    image: str
    digest: str
    sbom: bytes
    provenance: bytes

    def document(self) -> dict[str, Any]:
        """An element of `images` in the JSON of `images sbom`."""
        return {
            "name": self.name,
            "image": self.image,
            "digest": self.digest,
            "sbom": json.loads(self.sbom),
            "provenance": json.loads(self.provenance),
        }


def sbom(context: Context, request: SbomRequest) -> tuple[ImageDocuments, ...]:
    """The documents of each image.

    Raises:
        UsageError: `unknown-image`, no layer of the plans is this image.
        StepFailed: `no-image`, the engine does not have it. EngineError.
    """
    return tuple(_each(context, request))


def _each(context: Context, request: SbomRequest) -> Iterator[ImageDocuments]:
    for one in pick(context, request.selections, request.names):
        planned = one.require_planned()
        made = documents(subject(context, planned, digest_in_engine(context, planned.step.image)))
        yield ImageDocuments(
            name=planned.step.name,
            image=planned.step.image,
            digest=made.digest,
            sbom=made.sbom,
            provenance=made.provenance,
        )


def write(found: tuple[ImageDocuments, ...], folder: Path) -> tuple[Path, ...]:
    """Write NAME.cdx.json and NAME.provenance.json of each image into ``folder``; gives the paths.

    Raises:
        WriteFailed: the disk is full, or ``folder`` cannot be written to.
    """
    written = []
    for one in found:
        for name, data in ((f"{one.name}.cdx.json", one.sbom), (f"{one.name}.provenance.json", one.provenance)):
            atomic_write_bytes(folder / name, data, overwrite=True)
            written.append(folder / name)
    return tuple(written)


def require_folder(path: Path) -> None:
    """A folder to write to has to be there: a mistyped path must not make a tree.

    Raises:
        UsageError: `missing-path`.
    """
    if not path.is_dir():
        raise UsageError(f"the folder {path} does not exist", hint="make it, or name another one", slug="missing-path")
