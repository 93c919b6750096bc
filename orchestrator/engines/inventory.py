"""What an engine holds: images and containers. Apart from the rest of the model, as every plan asks for images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """An image in the engine's store; ``digest`` is the repo digest where there is one, else the id."""

    image: str
    image_id: str
    digest: str
    size: int
    created: str
    labels: Mapping[str, str]
    layers: tuple[str, ...] = ()
    """Its layers by the hash of their unpacked bytes, lowest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFacts:
    """A container that exists, running or not."""

    container_id: str
    name: str
    state: str
    labels: Mapping[str, str]
    exit_code: int | None = None
