"""`images list`: our images in the engine and in registries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import RegistryError
from orchestrator.facts.references import parse_registry_prefix
from orchestrator.images.prune import ID_LABEL, own_images
from orchestrator.images.registry.client import Registry
from orchestrator.images.registry.images import image_config
from orchestrator.operations.images.in_use import current_ids

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from orchestrator.facts.references import RegistryPrefix
    from orchestrator.operations.context import Context

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
    rows = list(_engine_rows(context, needed))
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


def _engine_rows(context: Context, needed: Collection[str]) -> Iterator[ListedImage]:
    for facts in own_images(context.engine):
        yield ListedImage(
            layer=facts.labels.get("org.mlorch.layer", ""),
            content_id=facts.labels[ID_LABEL],
            platform=facts.labels.get("org.mlorch.platform", ""),
            where="engine",
            reference=facts.image,
            digest=facts.digest,
            bytes=facts.size,
            in_use=facts.labels[ID_LABEL] in needed,
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
