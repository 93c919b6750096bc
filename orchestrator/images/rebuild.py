"""Builds layers again without any cache, and compares them with what is there.

Every layer is built on the parent that is there, so that each is judged by itself: when
all are identical, so is the whole image.
"""

from __future__ import annotations

import hashlib
import secrets
import tarfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.host.scratch import scratch_folder
from orchestrator.images.build import LayerBuilder
from orchestrator.images.difference import File, LayerFiles, first_difference, first_unlike
from orchestrator.images.layout.archive import BLOCK, opened
from orchestrator.images.layout.oci import Unpacked, blob_name, images_of, layer_tar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.engines import ImageFacts
    from orchestrator.facts.build import LayerStep
    from orchestrator.images.difference import Differs
    from orchestrator.images.layout.archive import Archive
    from orchestrator.images.layout.oci import LaidImage, LayerBlob

_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "pipe",
}
_ATTRIBUTE = "SCHILY.xattr."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What became of a layer: an element of `layers` in the JSON of `images rebuild`."""

    name: str
    content_id: str
    state: str
    """identical, same-content (only the compression differs) or differs; rebuilt where nothing was compared"""
    image: str
    digest: str
    """of the image that is there now"""
    rebuilt: str
    """the digest that the rebuild gave"""
    seconds: float
    difference: Differs | None = None
    """the first one; None also where only the manifest's own words differ"""


@dataclass(slots=True, kw_only=True)
class Rebuilder(LayerBuilder):
    """Builds layers again on one engine."""

    def verify(self, steps: Sequence[LayerStep]) -> tuple[Rebuilt, ...]:
        """Build each of `steps` under a name of its own, compare, and remove that name again.

        Raises:
            StepFailed: `no-image` before anything is built, where one of them or a parent is not
                there; `build-failed`, as for any build.
            EngineError: the engine went away.
        """
        present = {step.image: self._present(step) for step in steps}
        return tuple(self._verified(step, present[step.image]) for step in steps)

    def replace(self, steps: Sequence[LayerStep]) -> tuple[Rebuilt, ...]:
        """Build each of `steps`, parents first; the new image takes the name."""
        outcomes = []
        for step in steps:
            began = time.monotonic()
            facts = self._build_again(step, step)
            outcomes.append(_outcome(step, "rebuilt", facts.digest, facts.digest, began))
        return tuple(outcomes)

    def _present(self, step: LayerStep) -> ImageFacts:
        there = self.engine.image(step.image)
        missing = step.image if there is None else ""
        if step.parent and not missing and self.engine.image(step.parent) is None:
            missing = step.parent
        if missing or there is None:
            raise StepFailed(
                f"`{step.name}` cannot be compared: the engine has no image {missing}",
                hint="`mlorch build` makes it; a layer that was pulled as part of an image has no name of its own",
                slug="no-image",
            )
        return there

    def _verified(self, step: LayerStep, there: ImageFacts) -> Rebuilt:
        began = time.monotonic()
        trial = replace(step, content_id=f"rebuild-{step.content_id[:12]}-{secrets.token_hex(4)}")
        try:
            facts = self._build_again(step, trial)
            if there.image_id == facts.image_id:
                return _outcome(step, "identical", there.digest, facts.digest, began)
            difference = self._difference(step.image, trial.image)
        finally:
            self.engine.remove_image(trial.image)
        same = difference is not None and difference.what == "compression"
        return _outcome(step, "same-content" if same else "differs", there.digest, facts.digest, began, difference)

    def _build_again(self, step: LayerStep, name: LayerStep) -> ImageFacts:
        facts = self.build_layer(step, name=name, no_cache=True)
        self.on_layer(step, "built")
        return facts

    def _difference(self, there: str, rebuilt: str) -> Differs | None:
        with scratch_folder(self.cache, "rebuild-") as folder, ExitStack() as stack:
            archives = []
            for index, reference in enumerate((there, rebuilt)):
                path = folder / f"{index}.tar"
                self.engine.save([reference], path)
                archives.append(stack.enter_context(opened(path)))
            return compare(*archives)


def _outcome(
    step: LayerStep, state: str, digest: str, rebuilt: str, began: float, difference: Differs | None = None
) -> Rebuilt:
    return Rebuilt(
        name=step.name,
        content_id=step.content_id,
        state=state,
        image=step.image,
        digest=digest,
        rebuilt=rebuilt,
        seconds=round(time.monotonic() - began, 2),
        difference=difference,
    )


# -- two saved images ----------------------------------------------------------------------


def compare(there: Archive, rebuilt: Archive) -> Differs | None:
    """The first difference between the first images of two archives.

    Files are read only of the first layer that differs.

    Raises:
        StepFailed: an archive is broken (`bad-archive`), or a layer is compressed in a way that
            cannot be read here (`layer-compression`).
    """
    images = images_of(there)[0], images_of(rebuilt)[0]
    index = first_unlike(*([layer.diff_id for layer in image.layers] for image in images))
    one, other = (
        (_layers(archive, image, index), image.config) for archive, image in zip((there, rebuilt), images, strict=True)
    )
    return first_difference(one, other)


def _layers(archive: Archive, image: LaidImage, wanted: int | None) -> list[LayerFiles]:
    """The layers of an image, with the files of the one that is wanted."""
    makers = _makers(image.config)
    return [
        LayerFiles(
            made_by=makers[index] if index < len(makers) else "",
            digest=layer.diff_id,
            stored=layer.digest,
            files=tuple(layer_files(archive, layer)) if index == wanted else (),
        )
        for index, layer in enumerate(image.layers)
    ]


def _makers(config: Mapping[str, object]) -> list[str]:
    """For each layer the instruction that made it, as the image's history has it."""
    history = config.get("history")
    entries = history if isinstance(history, list) else []
    makers = [entry for entry in entries if isinstance(entry, dict) and not entry.get("empty_layer")]
    return [str(entry.get("created_by", "")).removesuffix(" # buildkit") for entry in makers]


def layer_files(archive: Archive, layer: LayerBlob) -> Iterator[File]:
    """The members of a layer in their order, each file hashed. Raises `StepFailed` as `compare`."""
    with archive.open(blob_name(layer.digest)) as stream, layer_tar(Unpacked(stream, layer, archive.path)) as tar:
        for member in tar:
            yield _file(tar, member)


def _file(tar: tarfile.TarFile, member: tarfile.TarInfo) -> File:
    digest = hashlib.sha256()
    stream = tar.extractfile(member) if member.isreg() else None
    while stream is not None and (block := stream.read(BLOCK)):
        digest.update(block)
    named = member.pax_headers.items()
    return File(
        path=member.name.removeprefix("./").strip("/"),
        kind=_KINDS.get(member.type, f"type {member.type!r}"),
        mode=member.mode,
        owner=f"{member.uid}:{member.gid}",
        mtime=member.mtime,
        content=f"sha256:{digest.hexdigest()}" if stream is not None else "",
        target=member.linkname,
        attributes=tuple(sorted((k.removeprefix(_ATTRIBUTE), v) for k, v in named if k.startswith(_ATTRIBUTE))),
    )
