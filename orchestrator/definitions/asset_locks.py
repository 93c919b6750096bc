"""Models and datasets that nobody has hashed yet, and the locks that give them their hashes. Pure.

A recipe may leave a hash out where no source gives one. Such an asset is *unlocked*: it is listed and planned,
never fetched for use, until `mlorch assets lock` has fetched it once and written what came into a lock.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Literal, TypeVar

from orchestrator.definitions.kinds.assets import Asset, Model
from orchestrator.definitions.kinds.sources import (
    DebianPackage,
    HttpFile,
    HubFiles,
    MlcommonsFiles,
    PypiPackage,
    SourceFile,
)

if TYPE_CHECKING:
    from orchestrator.definitions.kinds.assets import Output
    from orchestrator.definitions.kinds.lock import AssetLock, LockedOutput, LockedSource
    from orchestrator.definitions.kinds.sources import AssetSource

A = TypeVar("A", bound=Asset)


def kind_of(asset: Asset) -> Literal["model", "dataset"]:
    """``model`` or ``dataset``."""
    return "model" if isinstance(asset, Model) else "dataset"


def full_name(asset: Asset) -> str:
    """``model/NAME`` or ``dataset/NAME``."""
    return f"{kind_of(asset)}/{asset.name}"


def lock_name(asset: Asset, *, varies: bool = False) -> str:
    """The name of an asset's lock in `images/`, without its suffix.

    A recipe that ``varies`` (it has axes) has a lock for each of its forms, by the hash of what they say.
    """
    form = f"-{recipe_sha256(asset)[:12]}" if varies else ""
    return f"{kind_of(asset)}-{asset.name}{form}"


def source_label(source: AssetSource) -> str:
    """A source in the words of messages and locks."""
    found = _PLACE_OF[source.kind]
    return " ".join(str(getattr(source, field)) for field in found)


_PLACE_OF: dict[str, tuple[str, ...]] = {
    "pypi": ("filename",),
    "debian": ("path",),
    "recipe": ("path",),
    "http": ("name",),
    "huggingface": ("repo", "revision"),
    "mlcommons": ("uri",),
    "git": ("url", "commit"),
    "folder": ("path",),
    "local": ("kind",),
    "generated": ("kind",),
}


def source_words(source: AssetSource) -> str:
    """A source in the words of a record: a package with its version, else as `source_label`."""
    if isinstance(source, PypiPackage | DebianPackage):
        return f"{source.package} {source.version}"
    return source_label(source)


def missing_hashes(asset: Asset) -> tuple[str, ...]:
    """What of an asset has no hash: sources and outputs by their names; empty for one that is locked."""
    if asset.beside is not None:  # its files are hashed where they lie, and what a step makes of them when it is made
        return ()
    sources = [f"source {source_label(source)}" for source in asset.sources if not is_source_locked(source)]
    return (*sources, *(f"output {output.path}" for output in asset.outputs if not output.sha256))


def is_source_locked(source: AssetSource) -> bool:
    """Whether everything that a source gives has a hash."""
    match source:
        case HttpFile():
            return bool(source.sha256)
        case HubFiles() | MlcommonsFiles():
            return bool(source.files) and all(file.sha256 for file in source.files)
        case _:
            return True


def recipe_sha256(asset: Asset) -> str:
    """A hash of what a recipe says of sources, steps and outputs, without the terms; a lock is for one of them."""
    form = asset.model_dump(mode="json", include={"sources", "outputs", "prepare"})
    for source in form["sources"]:
        source.pop("licence")
    return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()


def with_lock(asset: A, lock: AssetLock) -> A:
    """The asset with the hashes of a lock where its recipe has none. A lock of another recipe changes nothing."""
    if lock.recipe != recipe_sha256(asset):
        return asset
    sources = {one.source: one for one in lock.sources}
    outputs = {one.path: one for one in lock.outputs}
    return asset.model_copy(
        update={
            "sources": tuple(_locked_source(source, sources.get(source_label(source))) for source in asset.sources),
            "outputs": tuple(_locked_output(output, outputs.get(output.path)) for output in asset.outputs),
        }
    )


def _locked_source(source: AssetSource, pin: LockedSource | None) -> AssetSource:
    if pin is None or is_source_locked(source):
        return source
    files = tuple(SourceFile(path=one.path, sha256=one.sha256, size=one.size) for one in pin.files)
    match source:
        case HttpFile() if len(files) == 1:
            return source.model_copy(update={"sha256": files[0].sha256, "size": files[0].size})
        case HubFiles() | MlcommonsFiles():
            return source.model_copy(update={"files": files})
        case _:
            return source


def _locked_output(output: Output, pin: LockedOutput | None) -> Output:
    if pin is None or output.sha256:
        return output
    return output.model_copy(update={"sha256": pin.sha256, "files": pin.files, "size": pin.size})


# -- the file ----------------------------------------------------------------------------

HEADER = """\
# Made by `mlorch assets lock {name}`: what came when it was first fetched, which nobody has vouched for.
# Do not edit. Others who have this file get these bytes or an error.
"""


def asset_lock_text(lock: AssetLock) -> str:
    """The text of a lock file: the same bytes for the same hashes."""
    lines = [HEADER.format(name=f"{lock.kind}/{lock.name}").rstrip(), f"version: {json.dumps(lock.version)}"]
    lines += [f"kind: {lock.kind}", f"name: {lock.name}", f"recipe: {json.dumps(lock.recipe)}"]
    lines.append("sources:" if lock.sources else "sources: []")
    for source in lock.sources:
        lines.append(f"  - source: {json.dumps(source.source)}")
        lines.append("    files:" if source.files else "    files: []")
        for file in sorted(source.files, key=lambda one: one.path):
            lines.append(f"      - path: {json.dumps(file.path)}")
            lines += [f"        sha256: {json.dumps(file.sha256)}", f"        size: {file.size}"]
    lines.append("outputs:")
    for output in lock.outputs:
        lines.append(f"  - path: {json.dumps(output.path)}")
        lines.append(f"    sha256: {json.dumps(output.sha256)}")
        lines += [f"    files: {output.files}"] if output.files is not None else []
        lines.append(f"    size: {output.size}")
    return "\n".join(lines) + "\n"
