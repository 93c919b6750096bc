"""What an engine holds: images and containers. Apart from the rest of the model, as every plan asks for images."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    LookUp = Callable[[Sequence[str]], Mapping[str, "ImageFacts | None"]]
    """Asks for images by their references."""
    RepositoryLookUp = Callable[[str], Mapping[str, Mapping[str, str]]]
    """Asks for the labels of all images of a repository (``localhost/mlorch/loadgen``), by their references."""


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


@contextmanager
def understood(engine: str) -> Iterator[None]:
    """Whatever is amiss inside is the engine's answer, whose parts are not what they should be."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise EngineError(
            f"what {engine} says cannot be understood: {type(error).__name__}: {str(error)[:200]}",
            hint="is it a container engine that listens there? `mlorch doctor` says which one is asked",
            slug="engine-answer",
        ) from error


_STATES = {"configured": "created", "initialized": "created", "stopped": "exited"}
"""podman's names of states that Docker calls otherwise."""


def container_facts(item: Mapping[str, Any]) -> ContainerFacts:
    """An element of the list of containers, which podman writes as Docker does."""
    state = str(item.get("State", "")).lower()
    return ContainerFacts(
        container_id=str(item["Id"]),
        name=str((item.get("Names") or [""])[0]).removeprefix("/"),
        state=_STATES.get(state, state),
        labels=_texts(item.get("Labels") or {}),
    )


def image_facts(reference: str, item: Mapping[str, Any], digest: str) -> ImageFacts:
    """An engine's answer to an image inspection; ``digest`` is the repo digest where it has one."""
    config, root = item.get("Config") or {}, item.get("RootFS") or {}
    image_id = "sha256:" + str(item.get("Id", "")).removeprefix("sha256:")
    return ImageFacts(
        image=reference,
        image_id=image_id,
        digest=digest or image_id,
        size=int(item.get("Size") or 0),
        created=str(item.get("Created", "")),
        labels=_texts(config.get("Labels") or {}),
        layers=tuple(str(layer) for layer in root.get("Layers") or ()),
    )


def _texts(found: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in found.items()}
