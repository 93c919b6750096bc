"""Writes a bundle: streamed into a file beside the wanted one, which takes its place when all is in it.

The same images, assets and recipes give the same bytes: sorted names, one time, owner 0:0.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from orchestrator import __version__
from orchestrator.errors import StepFailed, UsageError
from orchestrator.host.files import require_folder, write_failure
from orchestrator.host.scratch import scratch_folder
from orchestrator.images.attest.signatures import detached
from orchestrator.images.bundle.contents import (
    ASSETS,
    DEFINITIONS,
    DOCUMENTS,
    KIND,
    NAME,
    SIGNATURE,
    BundledAsset,
    BundledFile,
    BundledImage,
    Contents,
    to_bytes,
)
from orchestrator.images.layout.archive import Hashing, opened, refused
from orchestrator.images.layout.oci import INDEX, MARK, blob_name, images_of, packing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.assets.store import Stored
    from orchestrator.engines import ImageMoves
    from orchestrator.images.attest.signatures import Signer
    from orchestrator.images.bundle.contents import BundledPlan
    from orchestrator.images.layout.archive import Archive
    from orchestrator.images.layout.oci import LaidImage, Pack

_DEFINITIONS = ("recipes", "dockerfiles", "images")
_SKIPPED = frozenset({"__pycache__"})
_BESIDE = ".mlorch-bundle-"
"""Begins the name of the folder beside a bundle where it is written: nobody else's begins so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What goes into a bundle: plans whose images the engine has, their assets and documents, folders of recipes.

    ``documents`` gives the files of an image's documents by its reference and digest.
    """

    plans: tuple[BundledPlan, ...]
    assets: tuple[Stored, ...]
    definitions: tuple[Path, ...]
    documents: Callable[[str, str], Mapping[str, bytes]]
    say: Callable[[str], None] = field(default=lambda _line: None)
    signer: Signer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A bundle that is there: bytes, the hash to compare after a transport, and what is in it."""

    path: Path
    size: int
    sha256: str
    contents: Contents

    def document(self) -> dict[str, object]:
        """The JSON of `images bundle`."""
        contents = self.contents
        return {
            "bundle": str(self.path),
            "bytes": self.size,
            "sha256": self.sha256,
            "images": [{"image": image.reference, "digest": image.digest} for image in contents.images],
            "benchmarks": [plan.benchmark for plan in contents.plans],
            "assets": [{"kind": asset.kind, "name": asset.name, "key": asset.key} for asset in contents.assets],
            "files": len(contents.files),
        }


def write(out: Path, order: Order, engine: ImageMoves) -> Written:
    """Write a bundle to ``out``.

    Raises:
        UsageError: `exists`, the folder is not there.
        StepFailed: an image is gone, an asset changed; `write` for a disk that is full.
            What was at ``out`` stays, and nothing is left beside it.

    Of two that are written to one name at once the later one stays, whole.
    """
    require_folder(out.parent)
    if out.exists() and not out.is_file():
        raise UsageError(f"{out} is there and no file", hint="choose another name with -o", slug="exists")
    before = _identity(out)
    with _write_errors(out), scratch_folder(out.parent, _BESIDE) as beside:
        temporary, images = beside / "new", beside / "images"
        order.say("saving the images")
        engine.save(sorted({plan.image for plan in order.plans}), images)
        with temporary.open("xb") as stream:
            written = _write(stream, order, images, out)
            stream.flush()
            os.fsync(stream.fileno())
        if _identity(out) != before:
            order.say(f"another command wrote {out} meanwhile; it is replaced")
        temporary.replace(out)
    return written


def _identity(path: Path) -> tuple[int, ...]:
    """What is another after somebody wrote a file; empty where there is none."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return ()
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


@contextmanager
def _write_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except StepFailed:
        raise
    except OSError as error:
        if error.errno is None:  # tarfile's own word for a file that shrank while it was read
            raise StepFailed(f"a file changed while it was bundled: {error}", slug="changed") from None
        raise write_failure(out, error) from error


def _write(stream: IO[bytes], order: Order, saved: Path, out: Path) -> Written:
    whole = Hashing(stream)
    with packing(whole) as pack:
        with opened(saved) as archive:
            images = _images(archive, order)
            _add_images(pack, archive, images, order.say)
        for asset in sorted(order.assets, key=lambda each: (each.kind, each.name)):
            order.say(f"adding {asset.kind} {asset.name}, {asset.size / 1e6:.1f} MB")
            _add_asset(pack, asset)
        for image in images:
            for name, data in sorted(order.documents(image.reference, image.digest).items()):
                pack.add_data(f"{DOCUMENTS}{image.digest.removeprefix('sha256:')}/{name}", data)
        for number, folder in enumerate(order.definitions):
            for relative in _definition_files(folder):
                pack.add_path(f"{DEFINITIONS}{number}/{relative}", folder / relative)
        contents = Contents(
            mlorch=__version__,
            images=tuple(BundledImage(reference=i.reference, digest=i.digest, config=i.config_digest) for i in images),
            plans=order.plans,
            assets=tuple(BundledAsset(kind=a.kind, name=a.name, key=a.key) for a in order.assets),
            definitions=len(order.definitions),
            files={name: BundledFile(sha256=sha256, size=size) for name, (sha256, size) in pack.files.items()},
        )
        listed = to_bytes(contents)
        pack.add_data(NAME, listed)
        if order.signer is not None:
            pack.add_data(SIGNATURE, detached(KIND, listed, order.signer))
    return Written(path=out, size=whole.count, sha256=whole.sha256, contents=contents)


def _images(archive: Archive, order: Order) -> tuple[LaidImage, ...]:
    """What the engine saved: exactly the images that were asked for."""
    images = tuple(sorted(images_of(archive), key=lambda image: image.reference))
    wanted = {plan.image for plan in order.plans}
    if {image.reference for image in images} != wanted:
        raise refused(archive.path, f"the engine saved {[i.reference for i in images]}", slug="save-failed")
    return images


def _add_images(pack: Pack, archive: Archive, images: Sequence[LaidImage], say: Callable[[str], None]) -> None:
    """The layout without what no image needs; every blob is hashed as it passes."""
    blobs = sorted({blob for image in images for blob in image.blobs})
    say(f"adding {len(images)} images, {sum(archive.size(blob_name(blob)) for blob in blobs) / 1e6:.1f} MB")
    for name in (MARK, INDEX):
        pack.add_data(name, archive.read(name))
    for blob in blobs:
        name = blob_name(blob)
        if not pack.add_blob(blob, archive.open(name), archive.size(name)):
            raise refused(archive.path, f"the engine gave a blob that is not {blob}", slug="save-failed")


def _add_asset(pack: Pack, asset: Stored) -> None:
    folder = f"{ASSETS}{asset.kind}/{asset.name}/{asset.key}"
    for part, source in (("files", asset.folder), ("licences", asset.licences)):
        for path in sorted(source.rglob("*")):
            if path.is_file() and not path.is_symlink():
                pack.add_path(f"{folder}/{part}/{path.relative_to(source).as_posix()}", path)


def _definition_files(folder: Path) -> list[str]:
    """The files of a folder of definitions that could count, relative to it."""
    parts = [folder / part for part in _DEFINITIONS if (folder / part).is_dir()]
    if not (folder / "recipes").is_dir():
        parts = [folder]
    found = []
    for part in parts:
        for path in part.rglob("*"):
            relative = path.relative_to(folder)
            hidden = any(name in _SKIPPED or name.startswith(".") for name in relative.parts)
            if path.is_file() and not hidden and path.suffix != ".pyc":
                found.append(relative.as_posix())
    return sorted(found)
