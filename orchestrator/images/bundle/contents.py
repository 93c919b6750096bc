"""What is in a bundle (``mlorch-bundle.json``): images, plans, assets, and the hash of every file in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.codec import CodecError, from_plain, to_plain
from orchestrator.facts.references import SHA256
from orchestrator.facts.strict_json import strict_json
from orchestrator.images.layout.archive import broken, refused

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.errors import StepFailed
    from orchestrator.facts.build import BuildPlan

NAME = "mlorch-bundle.json"
SIGNATURE = "mlorch-bundle.json.sig"
"""Of the list, where a key signed it: the list has the hash of every other file, so that is a signature of all."""
KIND = "application/vnd.mlorch.bundle+json"
VERSION = 1
ASSETS, DOCUMENTS, DEFINITIONS = "assets/", "documents/", "definitions/"
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_REFERENCE = re.compile(r"localhost/mlorch/([a-z0-9._-]{1,128}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledFile:
    """A file of a bundle: hash of its bytes, and how many."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledImage:
    """An image: its name in the engine, the digest of its manifest, that of its configuration."""

    reference: str
    digest: str
    config: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledAsset:
    """A model or dataset by its key in the store (``assets/KIND/NAME/KEY/`` in the bundle too)."""

    kind: str
    name: str
    key: str

    @property
    def folder(self) -> str:
        """Its path in the bundle, with a slash at the end."""
        return f"{ASSETS}{self.kind}/{self.name}/{self.key}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledPlan:
    """What an image was planned as: the selection, and the named inputs of each layer by its content id."""

    target: str
    benchmark: str
    platform: str
    base_source: str
    image: str
    layers: tuple[Mapping[str, object], ...]
    arch: str = ""
    """What device code is built for; empty where the target has no such axis."""
    round: str = ""
    """The round that was asked for; empty for the one that the benchmark names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The whole list. ``definitions`` counts the folders of recipes below ``definitions/``."""

    mlorch: str
    images: tuple[BundledImage, ...]
    plans: tuple[BundledPlan, ...]
    assets: tuple[BundledAsset, ...]
    definitions: int
    files: Mapping[str, BundledFile]


def bundled_plan(plan: BuildPlan, base_source: str, round_name: str = "") -> BundledPlan:
    """A plan without paths of this machine, and what it was asked for beside its target and benchmark."""
    return BundledPlan(
        target=plan.target,
        benchmark=plan.benchmark,
        platform=plan.platform,
        arch=plan.arch,
        base_source=base_source,
        round=round_name,
        image=plan.image,
        layers=tuple(
            {"name": step.name, "level": step.level, "content_id": step.content_id, "inputs": dict(step.inputs)}
            for step in plan.layers
        ),
    )


def to_bytes(contents: Contents) -> bytes:
    """The text of the list: the same contents, the same bytes."""
    return json.dumps({"version": VERSION, **to_plain(contents)}, indent=1, sort_keys=True).encode() + b"\n"


def from_bytes(data: bytes, path: Path) -> Contents:
    """The list in ``data``; every name in it that becomes part of a path is a plain word.

    Raises:
        StepFailed: `bundle-version` for one of another version, `bad-archive` for anything that is no such list.
    """
    try:
        document = strict_json(data.decode())
        version = document.pop("version")
    except (ValueError, KeyError, AttributeError):
        raise _broken(path, "it cannot be read") from None
    if version != VERSION:
        raise refused(
            path, f"it is a bundle of version {version!r}; this mlorch reads {VERSION}", slug="bundle-version"
        )
    try:
        made = from_plain(Contents, document)
    except CodecError as error:
        raise _broken(path, str(error)) from None
    if why := _unsound_names(made) or _unsound_numbers(made):
        raise _broken(path, why)
    return made


def _unsound_names(made: Contents) -> str:
    """What is wrong in a list whose values all have their types; empty where nothing is."""
    for image in made.images:
        if not _is_image(image):
            return f"{image.reference[:200]!r} is no image of mlorch"
    for asset in made.assets:
        if not _is_asset(asset):
            return f"{asset.name[:100]!r} is no asset"
    if not made.images or not made.plans:
        return "it lists no image"
    if {plan.image for plan in made.plans} != {image.reference for image in made.images}:
        return "its plans and its images differ"
    return ""


def _is_image(image: BundledImage) -> bool:
    digest = image.digest.removeprefix("sha256:")
    return bool(_REFERENCE.fullmatch(image.reference) and SHA256.fullmatch(digest))


def _is_asset(asset: BundledAsset) -> bool:
    named = _WORD.fullmatch(asset.name) and _WORD.fullmatch(asset.key)
    return asset.kind in {"model", "dataset"} and bool(named)


def _unsound_numbers(made: Contents) -> str:
    if not 0 <= made.definitions <= 100:
        return "it has no sensible number of definition folders"
    if not all(SHA256.fullmatch(file.sha256) and file.size >= 0 for file in made.files.values()):
        return "it has a file without hash and size"
    for plan in made.plans:
        for layer in plan.layers:
            if not isinstance(layer.get("inputs"), dict) or not isinstance(layer.get("content_id"), str):
                return "it has a layer without inputs"
    return ""


def _broken(path: Path, why: str) -> StepFailed:
    return broken(path, f"its list of contents ({NAME}) is not right: {why}")
