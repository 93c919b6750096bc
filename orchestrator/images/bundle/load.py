"""Takes a bundle that was looked through into this machine: images, models and data, documents, recipes.

What is written was hashed on the way from the bundle, so a file that changed after the
check gets nowhere. Every part appears whole or not at all, and a second time nothing is
done twice.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

from orchestrator.assets.store import key_of, kind_of
from orchestrator.errors import StepFailed
from orchestrator.images.attest.documents import find_documents, from_files, keep_documents
from orchestrator.images.attest.evidence import scratch, sweep_left_images
from orchestrator.images.bundle.contents import DEFINITIONS
from orchestrator.images.layout.archive import broken
from orchestrator.images.layout.oci import blob_name, packing
from orchestrator.images.registry.manifests import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orchestrator.assets.store import Store
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.assets import Asset
    from orchestrator.engines import Engine
    from orchestrator.images.bundle.contents import BundledAsset
    from orchestrator.images.bundle.read import Bundle
    from orchestrator.images.layout.oci import LaidImage


def load_images(bundle: Bundle, engine: Engine) -> tuple[str, ...]:
    """Load the images that the engine has not; gives their references.

    Raises:
        StepFailed: the engine refuses them, or holds other images under their names afterwards.
        EngineError: it has no space.
    """
    sweep_left_images()
    missing = tuple(image for image in bundle.images.values() if not _holds(engine, image))
    if not missing:
        return ()
    with scratch() as folder:
        path = folder / "images.tar"
        _write_layout(bundle, missing, path)
        engine.load(path)
    for image in missing:
        if not _holds(engine, image):
            facts = engine.image(image.reference)
            raise StepFailed(
                f"the engine took the images in, but has {facts.digest if facts else 'nothing'} as {image.reference}",
                hint="an engine with the containerd image store keeps digests: `mlorch engine ensure --yes` starts one",
                slug="load-failed",
            )
    return tuple(image.reference for image in missing)


def _holds(engine: Engine, image: LaidImage) -> bool:
    """Whether the engine has this very image: by its manifest, or by its configuration where it keeps no manifests."""
    facts = engine.image(image.reference)
    return facts is not None and (facts.digest == image.digest or facts.image_id == image.config_digest)


def _write_layout(bundle: Bundle, images: Sequence[LaidImage], out: Path) -> None:
    """An archive for the engine, with names that were checked and nothing that no image needs."""
    with out.open("xb") as stream, packing(stream) as pack:
        pack.add_index(_named(image) for image in images)
        pack.add_data("manifest.json", json.dumps([_docker_entry(image) for image in images]).encode())
        for digest in sorted({blob for image in images for blob in image.blobs}):
            name = blob_name(digest)
            with bundle.archive.open(name) as blob:
                if not pack.add_blob(digest, blob, bundle.archive.size(name)):
                    raise _changed(bundle, name)


def _named(image: LaidImage) -> Descriptor:
    """An image in the index, by the name that the engine gives it."""
    names = {
        "io.containerd.image.name": image.reference,
        "org.opencontainers.image.ref.name": image.reference.rpartition(":")[2],
    }
    return Descriptor(media_type=image.media_type, digest=image.digest, size=image.size, annotations=names)


def _docker_entry(image: LaidImage) -> dict[str, object]:
    """An image in the list that docker's older store reads."""
    return {
        "Config": blob_name(image.config_digest),
        "RepoTags": [image.reference],
        "Layers": [blob_name(layer.digest) for layer in image.layers],
    }


def load_assets(bundle: Bundle, catalog: Catalog, store: Store, say: Callable[[str], None]) -> tuple[BundledAsset, ...]:
    """Put the assets into the store that are not there yet; gives those.

    Raises:
        StepFailed: `asset-mismatch` where these recipes know no such asset; the store's own errors.
    """
    entries = [(each, _entry(bundle, catalog, each)) for each in bundle.contents.assets]
    taken = []
    for each, entry in entries:
        asset = entry.definition
        with store.alone(asset, each.key):
            if store.find(entry, catalog) is not None:
                continue
            say(f"taking in {each.kind} {each.name}")
            with store.making(asset, each.key) as folder:
                _lay(bundle, f"{each.folder}files/", folder / "out")
                _lay(bundle, f"{each.folder}licences/", folder / "licences")
        taken.append(each)
    return tuple(taken)


def _entry(bundle: Bundle, catalog: Catalog, asset: BundledAsset) -> Entry[Asset]:
    """The definition of a bundled asset, by which its files are checked once more."""
    for entry in catalog.assets():
        same = kind_of(entry.definition) == asset.kind and entry.definition.name == asset.name
        if same and key_of(entry, catalog) == asset.key:
            outputs = entry.definition.outputs
            given = sorted({rest for _, rest in bundle.below(f"{asset.folder}files/")})
            # Counts and hashes are checked when they are in the store; nothing else comes that far.
            known = all(any(output.has(name) for output in outputs) for name in given)
            if not known or not all(any(output.has(name) for name in given) for output in outputs):
                raise broken(bundle.archive.path, f"{asset.kind} {asset.name} is {given[:9]}")
            return entry
    raise StepFailed(
        f"these recipes have no {asset.kind} `{asset.name}` of the bundle's key {asset.key}",
        hint=f"use the mlorch that made the bundle, {bundle.contents.mlorch}",
        slug="asset-mismatch",
    )


def _lay(bundle: Bundle, path: str, folder: Path) -> None:
    """Write the files below a path of the bundle into a folder; each is hashed as it is written."""
    for name, rest in bundle.below(path):
        target = folder / rest
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            if bundle.archive.read_through(name, out) != bundle.contents.files[name].sha256:
                raise _changed(bundle, name)


def _changed(bundle: Bundle, name: str) -> StepFailed:
    return broken(bundle.archive.path, f"`{name}` changed while it was read")


def load_documents(bundle: Bundle) -> int:
    """Keep the documents of the images, never over signed ones without a signature; gives how many images have some."""
    count = 0
    for image in bundle.images.values():
        made = from_files(image.digest, bundle.documents(image.digest))
        if made is None:
            continue
        count += 1
        before = find_documents(image.digest)
        if before is None or before.signature is None or made.signature is not None:
            keep_documents(made)
    return count


def definitions_name(bundle: Bundle) -> str:
    """A name for the recipes of a bundle: the same recipes, the same name."""
    files = {name: bundle.contents.files[name].sha256 for name, _ in bundle.below(DEFINITIONS)}
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]


def load_definitions(bundle: Bundle, folder: Path) -> tuple[Path, ...]:
    """Write the recipes into ``folder``, whole or not at all; gives the folders of definitions, in order."""
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        for number in range(bundle.contents.definitions):
            root = new / str(number)
            root.mkdir(parents=True)
            _lay(bundle, f"{DEFINITIONS}{number}/", root)
            if any((root / part).is_dir() for part in ("images", "dockerfiles")):
                (root / "recipes").mkdir(exist_ok=True)  # what makes a folder one of definitions
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return tuple(folder / str(number) for number in range(bundle.contents.definitions))
