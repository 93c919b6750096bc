"""Looks through a bundle that somebody else made, whole, before anything of it is used.

Names, kinds and sizes first, then what the list of contents promises, then every byte:
each file's hash, each layer unpacked to what its image says, and no blob that no image
needs. Nothing is written anywhere.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.images.attest.documents import NAMES
from orchestrator.images.attest.provenance import broken_links
from orchestrator.images.bundle.contents import (
    ASSETS,
    DOCUMENTS,
    NAME,
    SIGNATURE,
    BundledImage,
    Contents,
    from_bytes,
)
from orchestrator.images.layout.archive import LARGEST_JSON, Hashing, broken, opened, refused
from orchestrator.images.layout.oci import BLOBS, INDEX, MARK, Unpacked, blob_name, images_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.images.layout.archive import Archive
    from orchestrator.images.layout.oci import LaidImage, LayerBlob


_LARGEST_SIGNATURE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle that was looked through; ``images`` by their references."""

    archive: Archive = field(repr=False)
    contents: Contents
    images: Mapping[str, LaidImage]

    def below(self, path: str) -> Iterator[tuple[str, str]]:
        """The files below a folder (with a slash at its end): whole name, and name below the folder."""
        for name in sorted(self.contents.files):
            if name.startswith(path):
                yield name, name.removeprefix(path)

    def signed_list(self) -> tuple[bytes, bytes]:
        """The list of contents as it stands there, and its signature; that is empty where nobody signed it."""
        found = self.archive.find(SIGNATURE)
        signature = b"" if found is None else self.archive.read(SIGNATURE, _LARGEST_SIGNATURE)
        return self.archive.read(NAME), signature

    def documents(self, digest: str) -> dict[str, bytes]:
        """The files of the documents of an image."""
        path = f"{DOCUMENTS}{digest.removeprefix('sha256:')}/"
        return {rest: self.archive.read(name) for name, rest in self.below(path)}


@contextmanager
def checked(path: Path, say: Callable[[str], None] = lambda _line: None) -> Iterator[Bundle]:
    """The bundle at ``path``, with every byte checked.

    Raises:
        StepFailed: `hostile-archive` for one that could do harm, `bad-archive` for one that
            is cut short or not what it says, `bundle-version`, `no-archive`.
    """
    with opened(path) as archive:
        if NAME not in archive.members:
            raise broken(path, f"it has no {NAME}: it is no bundle, or it is cut short")
        contents = from_bytes(archive.read(NAME), path)
        _same_files(archive, contents)
        bundle = Bundle(archive=archive, contents=contents, images=_images(archive, contents))
        _plans(bundle)
        say(f"checking {len(contents.files)} files, {sum(f.size for f in contents.files.values()) / 1e6:.1f} MB")
        _every_byte(bundle)
        yield bundle


def _same_files(archive: Archive, contents: Contents) -> None:
    """Exactly the files of the list are there, each below a folder that a bundle has, with its size."""
    there = archive.members.keys() - {NAME, SIGNATURE}
    if extra := sorted(there - contents.files.keys()):
        raise refused(archive.path, f"`{extra[0]}` is in it, but not in its list")
    if missing := sorted(contents.files.keys() - there):
        raise broken(archive.path, f"`{missing[0]}` is in its list, but not in it")
    folders = {asset.folder for asset in contents.assets}
    for name, file in contents.files.items():
        if archive.size(name) != file.size:
            raise broken(archive.path, f"`{name}` has {archive.size(name)} bytes, its list says {file.size}")
        if not _belongs(name, folders, contents):
            raise refused(archive.path, f"`{name}` does not belong in a bundle")
        if not name.startswith((BLOBS, ASSETS)) and file.size > LARGEST_JSON:
            raise refused(archive.path, f"`{name}` has {file.size} bytes, too many for what it is")


def _belongs(name: str, folders: set[str], contents: Contents) -> bool:
    if name in {MARK, INDEX}:
        return True
    top, _, rest = name.partition("/")
    if top == "blobs":
        return name.startswith(BLOBS)
    if top == "assets":
        return any(name.startswith((f"{folder}files/", f"{folder}licences/")) for folder in folders)
    if top == "documents":
        digest, _, last = rest.partition("/")
        return last in NAMES and f"sha256:{digest}" in {image.digest for image in contents.images}
    if top == "definitions":
        number = rest.partition("/")[0]
        return number in map(str, range(contents.definitions))
    return False


def _images(archive: Archive, contents: Contents) -> dict[str, LaidImage]:
    """The images of the layout: those of the list, no other blob, each of the content id that it is named by."""
    found = {image.reference: image for image in images_of(archive)}
    listed = {
        BundledImage(reference=image.reference, digest=image.digest, config=image.config_digest)
        for image in found.values()
    }
    if listed != set(contents.images):
        raise broken(archive.path, "its images are not those of its list")
    needed = {blob_name(blob) for image in found.values() for blob in image.blobs}
    if unknown := sorted(name for name in archive.members if name.startswith("blobs/") and name not in needed):
        raise refused(archive.path, f"no image needs the blob `{unknown[0]}`")
    for image in found.values():
        label = image.labels.get("org.mlorch.content-id")
        if label != image.reference.rpartition(":")[2]:
            raise broken(archive.path, f"{image.reference} says of itself that its content id is {label}")
    return found


def _plans(bundle: Bundle) -> None:
    """Each plan leads by hashes to the content id of its image."""
    for plan in bundle.contents.plans:
        described = [{**layer, "contentId": layer["content_id"]} for layer in plan.layers]
        if wrong := broken_links(described, plan.image.rpartition(":")[2]):
            raise broken(bundle.archive.path, f"the plan of {plan.benchmark or plan.image}: {wrong[0]}")


def _every_byte(bundle: Bundle) -> None:
    layers = {blob_name(layer.digest): layer for image in bundle.images.values() for layer in image.layers}
    for name, file in bundle.contents.files.items():
        layer = layers.get(name)
        found = _unpacks(bundle.archive, layer) if layer is not None else bundle.archive.read_through(name)
        if found != file.sha256 or (name.startswith(BLOBS) and name != f"{BLOBS}{found}"):
            raise broken(bundle.archive.path, f"`{name}` is not what its hash says")


def _unpacks(archive: Archive, layer: LayerBlob) -> str:
    """The hash of a layer as it is stored, after it unpacked to what its image says."""
    with archive.open(blob_name(layer.digest)) as stream:
        passing = Hashing(stream)
        Unpacked(passing, layer, archive.path).finish()  # type: ignore[arg-type]  # it reads
        while passing.read():  # what stands behind the compressed data counts for the hash too
            pass
    return passing.sha256
