"""What a published list holds: which image of a layer, by its digest, lies in which registry."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.definitions.kinds.base import Digest, Name, Platform, Sha256, Strict
from orchestrator.definitions.kinds.settings import RegistryName  # noqa: TC001  # pydantic reads it


class PublishedImage(Strict):
    """One image: its layer and identity, and the digest of its manifest."""

    layer: Name
    content_id: Sha256
    platform: Platform
    digest: Digest
    registry: RegistryName


class PublishedList(Strict):
    """One file, as `mlorch images push -o` writes it; its digests bind whoever is given it."""

    version: Literal["1"] = "1"
    images: tuple[PublishedImage, ...] = Field(min_length=1)
