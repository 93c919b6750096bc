"""`images list` and `prune`: our images in the engine and in registries, and the end of those that no plan has."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import groupby, product
from typing import TYPE_CHECKING, Any

from orchestrator.errors import DefinitionError, MlorchError, RegistryError, UsageError
from orchestrator.facts.references import parse_registry_prefix
from orchestrator.host.detect import platform_of
from orchestrator.host.folders import cache_home
from orchestrator.images.prune import ID_LABEL, freed, own_images, remove_image, unneeded
from orchestrator.images.registry.client import Registry
from orchestrator.images.registry.images import image_config
from orchestrator.operations.plan_cache import Selection
from orchestrator.runs.artifacts import remove_artifacts, sizes_of_artifacts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from orchestrator.engines import Engine, ImageFacts
    from orchestrator.facts.references import RegistryPrefix
    from orchestrator.operations.context import Context

_AT_ONCE = 8
"""Images of one height that are removed together."""
_ID = re.compile(r"[0-9a-f]{64}")
_NO_CATALOGUE = frozenset({"registry-auth", "registry-refused", "digest-not-found"})
"""Slugs of a registry that answers and does not list its repositories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """An image of mlorch: an element of `images` in the JSON of `images list`."""

    layer: str
    content_id: str
    platform: str
    where: str
    """engine, or the registry prefix"""
    reference: str
    digest: str
    bytes: int
    in_use: bool
    """whether some target's plan of the current recipes has it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageList:
    """The images; `whole` is False where a registry could not be asked (it was warned of)."""

    images: tuple[ListedImage, ...]
    whole: bool


def list_images(context: Context, registries: Sequence[str] = (), *, unused: bool = False) -> ImageList:
    """Every image of mlorch in the engine and in ``registries``, else in the configured ones.

    ``unused`` leaves only those that no plan of the current recipes has.

    Raises:
        UsageError: `bad-registry`, a name that is no registry prefix. EngineError: no engine answers.
    """
    needed = current_ids(context)
    rows = [_of_engine(facts, in_use=facts.labels[ID_LABEL] in needed) for facts in own_images(context.engine)]
    layers = sorted({row.layer for row in rows})
    whole = True
    for name in registries or context.settings.registries:
        prefix = parse_registry_prefix(name)
        try:
            rows += _registry_rows(context, prefix, layers, needed)
        except RegistryError as error:
            context.talk.warn(f"{error.message} [{error.slug}]")
            whole = False
    if unused:
        rows = [row for row in rows if not row.in_use]
    return ImageList(images=tuple(rows), whole=whole)


def _of_engine(facts: ImageFacts, *, in_use: bool) -> ListedImage:
    return ListedImage(
        layer=facts.labels.get("org.mlorch.layer", ""),
        content_id=facts.labels[ID_LABEL],
        platform=facts.labels.get("org.mlorch.platform", ""),
        where="engine",
        reference=facts.image,
        digest=facts.digest,
        bytes=facts.size,
        in_use=in_use,
    )


def _registry_rows(
    context: Context, prefix: RegistryPrefix, layers: Sequence[str], needed: Collection[str]
) -> list[ListedImage]:
    """What a registry has. Raises `RegistryError`."""
    client = Registry.at(prefix.host, context.http)
    rows: list[ListedImage] = []
    for repository in _repositories(client, prefix, layers):
        rows += _tagged(client, repository, prefix, needed)
    return rows


def _repositories(client: Registry, prefix: RegistryPrefix, layers: Sequence[str]) -> list[str]:
    """Our repositories below a prefix; those of known layers where the registry lists none."""
    start = prefix.image("", "").repository
    try:
        found = client.repositories()
    except RegistryError as error:
        if error.slug not in _NO_CATALOGUE:
            raise
        found = tuple(f"{start}{layer}" for layer in layers)
    return [name for name in found if name.startswith(start) and "/" not in name.removeprefix(start)]


def _tagged(
    client: Registry, repository: str, prefix: RegistryPrefix, needed: Collection[str]
) -> Iterator[ListedImage]:
    for tag in client.tags(repository):
        if not _ID.fullmatch(tag):
            continue
        manifest = client.get_manifest(repository, tag)
        if manifest.is_index:
            continue
        yield ListedImage(
            layer=repository.rpartition("/")[2],
            content_id=tag,
            platform=image_config(client, repository, manifest).platform,
            where=str(prefix),
            reference=f"{client.host}/{repository}:{tag}",
            digest=manifest.digest,
            bytes=sum(layer.size for layer in manifest.layers()),
            in_use=tag in needed,
        )


# -- which are needed ----------------------------------------------------------------------


def current_ids(context: Context, *, sure_of: str = "") -> frozenset[str]:
    """The content ids of every plan that can be made of the definitions here.

    A selection that cannot be planned (no lock for its platform, say) needs no image, and a
    line says so once. On the platform ``sure_of`` it is an error: an unreadable
    lock would make every image above it look unneeded.

    Hundreds of selections are planned for it, so the answer is kept until a definition changes.

    Raises:
        DefinitionError: of a selection on ``sure_of``.
    """
    found = context.kept_document(
        "content ids", lambda: _planned_ids(context, sure_of), lambda made: not made["passing"]
    )
    if sure_of in found["faulty"]:  # of a time when nobody was to be sure: it says which
        found = _planned_ids(context, sure_of)
    for line in found["lines"]:
        context.talk.say(line, style="dim")
    return frozenset(found["ids"])


def _planned_ids(context: Context, sure_of: str) -> dict[str, Any]:
    """The ids, what is told of selections without a plan, the platforms of those whose definitions are at fault, and
    whether something else than definitions decided: a layout of a base on this machine, a failure that may pass.
    """
    found: set[str] = set()
    faulty: set[str | None] = set()
    lines: dict[str, None] = {}
    passing = False
    for selection in _selections(context):
        passing |= selection.base_source.startswith("oci:")
        try:
            plans = context.plans(selection).plans
        except MlorchError as error:
            if isinstance(error, DefinitionError):
                if selection.platform == sure_of:
                    raise
                faulty.add(selection.platform)
            passing |= not isinstance(error, DefinitionError | UsageError)
            lines[f"not planned: {selection.target} on {selection.platform}: {error.message}"] = None
            continue
        found |= {step.content_id for plan in plans for step in plan.layers}
    return {"ids": sorted(found), "lines": list(lines), "faulty": sorted(filter(None, faulty)), "passing": passing}


def _selections(context: Context) -> Iterator[Selection]:
    """Every selection that a command line could make of the definitions here."""
    layers = [entry.definition for entry in context.catalog.layers()]
    sides = [layer.name for layer in layers if layer.level == "side"]
    per_arch = any(layer.per_arch for layer in layers)
    for target in (entry.definition for entry in context.catalog.targets()):
        archs = target.arch.choices if target.arch is not None and per_arch else (None,)
        for platform, arch in product(target.platforms, archs):
            one = Selection(target=target.name, every=True, platform=platform, arch=arch)
            for source, side in product(_base_sources(context, one), ("", *sides)):
                yield replace(one, base_source=source, side=side)


def _base_sources(context: Context, selection: Selection) -> tuple[str, ...]:
    """The base sources that can be asked for, the default first; an unlocked base has no option and is the default."""
    try:
        bases = context.bases(selection)
    except MlorchError:
        return ("",)
    return tuple(dict.fromkeys(["", *(base.option for base in bases if not base.unlocked)]))


# -- prune ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedImage(ListedImage):
    """An image that no plan needs: an element of `images` in the JSON of `images prune`."""

    state: str
    """unneeded (only shown), removed, or kept with the reason"""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneResult:
    """The JSON of `images prune`; ``bytes`` are those that go with the images."""

    images: tuple[PrunedImage, ...]
    bytes: int
    removed: bool
    looked_at: int
    """how many images of mlorch the engine had"""
    artifact_bytes: int
    """of the artefacts (compiled engines, quantised weights) of images that are gone, or go with this"""


def prune(context: Context, *, remove: bool = False) -> PruneResult:
    """Find, and remove when asked, images of mlorch that no plan of the current recipes has; others' are left alone.

    Artefacts go with their image, and those of images that went before.

    Raises:
        DefinitionError: a plan for this platform cannot be made, so it is not known what is needed.
        EngineError: no engine answers.
    """
    every = own_images(context.engine)
    needed = current_ids(context, sure_of=platform_of(os.uname().machine))
    done = _pruned(context.engine, unneeded(every, needed), remove=remove)
    gone = {one.reference for one in done if one.state != "kept"}
    staying = {facts.labels[ID_LABEL] for facts in every if facts.image not in gone}
    return PruneResult(
        images=done,
        bytes=freed(gone, every),
        removed=remove,
        looked_at=len(every),
        artifact_bytes=_prune_artifacts(needed | staying, remove=remove),
    )


def _pruned(engine: Engine, images: Sequence[ImageFacts], *, remove: bool) -> tuple[PrunedImage, ...]:
    """What becomes of images, those above others first; of one height several go at once.

    An engine looks through all that it stores for each image that goes, and once for those that go together.
    """

    def one(facts: ImageFacts) -> PrunedImage:
        why = remove_image(engine, facts.image) if remove else ""
        state = "unneeded" if not remove else "kept" if why else "removed"
        return PrunedImage(**asdict(_of_engine(facts, in_use=False)), state=state, why=why)

    if not remove:
        return tuple(map(one, images))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        heights = groupby(images, key=lambda facts: len(facts.layers))
        return tuple(each for _, same in heights for each in pool.map(one, same))


def _prune_artifacts(needed: frozenset[str], *, remove: bool) -> int:
    """The bytes of artefacts of other images than those; removed when asked, but for those that a run works with."""
    root = cache_home() / "artifacts"
    total = 0
    for content_id, size in sizes_of_artifacts(root).items():
        if content_id not in needed and (not remove or remove_artifacts(root, content_id)):
            total += size
    return total
