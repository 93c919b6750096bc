"""Gathers what is to be checked of an image, of an engine or a registry: its parts, and the packages in its files."""

from __future__ import annotations

import re
from contextlib import contextmanager
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.locks import normalised
from orchestrator.errors import StepFailed
from orchestrator.host.files import write_failure
from orchestrator.host.folders import cache_home
from orchestrator.host.scratch import scratch_folder, sweep_scratch
from orchestrator.images.attest.attach import as_attached, attached
from orchestrator.images.attest.check import Evidence
from orchestrator.images.attest.documents import find_documents
from orchestrator.images.layout.archive import opened, refused
from orchestrator.images.layout.oci import LaidImage, Unpacked, blob_name, images_of, layer_tar, packing
from orchestrator.images.registry.images import image_manifest

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator

    from orchestrator.engines import ImageMoves
    from orchestrator.facts.references import Reference
    from orchestrator.images.layout.archive import Archive
    from orchestrator.images.registry.client import Registry
    from orchestrator.images.registry.manifests import Manifest


_STANZAS = "var/lib/dpkg/status.d/"
_DATABASE = "var/lib/dpkg/status"
_METADATA = re.compile(r"(?:^|/)(?:dist|site)-packages/[^/]+\.dist-info/METADATA\Z")
_HIDDEN, _OPAQUE = ".wh.", ".wh..wh..opq"
_LARGEST = 32 << 20
_SCRATCH = "image-"


def sweep_left_images() -> None:
    """Remove what killed commands left of images: it may be gigabytes, and the next one may need no `scratch`."""
    sweep_scratch(_scratch_place(), _SCRATCH)


def _scratch_place() -> Path:
    return cache_home() / "supply"


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder of the cache for one image, removed afterwards; a full disk is an error that says so."""
    parent = _scratch_place()
    with scratch_folder(parent, _SCRATCH) as folder:
        try:
            yield folder
        except StepFailed:
            raise
        except OSError as error:
            if error.errno is None:
                raise
            raise write_failure(parent, error) from error


def of_engine(engine: ImageMoves, reference: str, digest: str) -> Evidence:
    """An image of an engine's store, saved whole and looked through; its documents are those kept here.

    Raises:
        StepFailed: it is not there, or what the engine gives is not whole.
    """
    with scratch() as folder:
        path = folder / "image.tar"
        engine.save([reference], path)
        image, packages = _looked_through(path, reference)
        # An engine without the containerd store makes a manifest anew when it saves: its own id is the configuration's.
        asked = image.digest if digest == image.config_digest else digest
    beside = as_attached(find_documents(asked))
    return Evidence(image=image, asked=asked, packages=packages, attached=beside, published=False)


def of_registry(registry: Registry, reference: Reference, platform: str) -> Evidence:
    """An image of a registry, fetched whole and looked through; of several platforms the one of ``platform``.

    Raises:
        RegistryError: it is not there; `digest-mismatch` where a manifest, layer or document was changed.
    """
    manifest = image_manifest(registry, reference, platform)
    with scratch() as folder:
        path = folder / "image.tar"
        lay_out(registry, reference.repository, manifest, path)
        image, packages = _looked_through(path, str(reference))
    beside = attached(registry, reference.repository, manifest.digest)
    # Asked for by its own digest: what a reference's digest names, an index too, the client has checked.
    return Evidence(image=image, asked=manifest.digest, packages=packages, attached=beside, published=True)


def lay_out(registry: Registry, repository: str, manifest: Manifest, out: Path) -> None:
    """Write an image of a registry to ``out`` as a layout in a tar, every blob checked."""
    config = manifest.config()
    wanted = {one.digest: one for one in (config, *manifest.layers())}
    with out.open("xb") as stream, packing(stream) as pack:
        pack.add_index([manifest.descriptor()])
        for digest, described in wanted.items():
            blob = out.with_name("blob")
            registry.get_blob(repository, digest, blob, limit=described.size)
            pack.add_path(blob_name(digest), blob)
            blob.unlink()
        pack.add_data(blob_name(manifest.digest), manifest.data)


def _looked_through(path: Path, shown: str) -> tuple[LaidImage, dict[tuple[str, str], str]]:
    with opened(path) as archive:
        images = images_of(archive)
        if len(images) != 1:
            raise refused(Path(shown), f"it is {len(images)} images", slug="bad-archive")
        return images[0], packages_in(images[0], archive, Path(shown))


# -- packages ------------------------------------------------------------------------------


def packages_in(image: LaidImage, archive: Archive, path: Path) -> dict[tuple[str, str], str]:
    """Versions of the packages in ``image`` by kind (``deb``, ``pypi``) and name; every layer is hashed on the way.

    ``archive`` holds the image; ``path`` only names it in errors.

    Raises:
        StepFailed: a layer is broken, hostile, or not what the image's configuration says.
    """
    held: dict[str, tuple[int, bytes]] = {}  # as the layers so far leave them, each with the number of its layer
    for number, layer in enumerate(image.layers):
        with archive.open(blob_name(layer.digest)) as stream:
            content = Unpacked(stream, layer, path)
            with layer_tar(content) as tar:
                for member in tar:
                    _consider(tar, member, held, number, path)
            content.finish()
    return _packages({name: data for name, (_, data) in held.items()})


def _consider(
    tar: tarfile.TarFile, member: tarfile.TarInfo, held: dict[str, tuple[int, bytes]], number: int, path: Path
) -> None:
    name = member.name.removeprefix("./").strip("/")
    folder, _, last = name.rpartition("/")
    if last == _OPAQUE:
        _drop(held, folder, number)
    elif last.startswith(_HIDDEN):
        _drop(held, f"{folder}/{last.removeprefix(_HIDDEN)}".lstrip("/"), number)
    elif not member.isdir() and name in held:
        _drop(held, name, number)
    matters = name == _DATABASE or name.startswith(_STANZAS) or _METADATA.search(name)
    if not member.isreg() or not matters:
        return
    if member.size > _LARGEST:
        raise refused(path, f"`{name[:200]}` in a layer has {member.size} bytes")
    stream = tar.extractfile(member)
    held[name] = (number, stream.read() if stream else b"")


def _drop(held: dict[str, tuple[int, bytes]], name: str, number: int) -> None:
    """Remove what layers below ``number`` brought at or below ``name``: what a layer brings itself it does not lose."""
    for path in [path for path in held if path == name or path.startswith(f"{name}/") or not name]:
        if held[path][0] < number:
            del held[path]


def _packages(files: dict[str, bytes]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for name, data in sorted(files.items()):
        text = data.decode(errors="replace")
        if name == _DATABASE or name.startswith(_STANZAS):
            found |= {("deb", package): version for package, version in _debs(text)}
        else:
            fields = HeaderParser().parsestr(text)
            if "name" in fields:
                found["pypi", normalised(fields["name"])] = fields.get("version", "")
    return found


def _debs(text: str) -> list[tuple[str, str]]:
    """Name and version of every installed package of a dpkg database or of a single control stanza."""
    found = []
    for stanza in text.split("\n\n"):
        fields = HeaderParser().parsestr(stanza)
        # A control stanza has no Status; one of a removed package has another than this.
        if "package" in fields and fields.get("status", "install ok installed").endswith(" installed"):
            found.append((fields["package"], fields.get("version", "")))
    return found
