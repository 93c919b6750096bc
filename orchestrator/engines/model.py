"""What every container engine is asked and what it answers: one Protocol, and frozen facts."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orchestrator.engines.access import EngineAccess
    from orchestrator.engines.builds import BuildRequest
    from orchestrator.engines.consent import Consent
    from orchestrator.engines.inventory import ContainerFacts, ImageFacts, LookUp, RepositoryLookUp
    from orchestrator.facts.containers import ContainerSpec, Deployed


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What an engine says of itself.

    ``host`` is what DOCKER_HOST would be, and ``exec://PROGRAM`` for an engine without a daemon;
    ``buildx`` is None there. ``builder`` names what builds where that is not buildx.
    """

    name: str
    host: str
    version: str
    api_version: str
    platform: str
    buildx: str | None
    containerd_store: bool
    cdi: bool
    cdi_devices: tuple[str, ...] = ()
    """The CDI names that the engine itself lists; empty where it lists none (Docker before 28)."""
    cdi_folders: tuple[str, ...] = ()
    gpus: bool = False
    """Whether its `--gpus` works: it has the hook of the NVIDIA container toolkit."""
    runtimes: tuple[str, ...] = ()
    storage_driver: str = ""
    cgroup_version: str = ""
    root_dir: str = ""
    rootless: bool = False
    userns_remap: bool = False
    """Whether it maps the users of all containers to others (Docker's userns-remap)."""
    unlimited: tuple[str, ...] = ()
    """Of ``processors``, ``memory`` and ``processes`` those that it cannot hold a container to (rootless engines)."""
    private: bool = False
    cpus: int = 0
    memory: int = 0
    security: tuple[str, ...] = ()
    builder: str = ""


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``0.13.1+ds1`` is (0, 13, 1)."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def older(version: str, least: tuple[int, ...]) -> bool:
    """Whether a version is before ``least``; one that says nothing (``0.0.0+unknown``, a commit) is not too old."""
    found = numbers(version)
    return any(found) and found < least


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildEvent:
    """One event of a build: a vertex started, ended, was cached, or logged a line."""

    kind: str
    """``start``, ``done``, ``cached``, ``error``, ``progress``, ``log`` or ``retry``"""
    step: str
    text: str = ""
    current: int = 0
    total: int = 0


KILLED = 128 + signal.SIGKILL
"""The exit status of a container whose program was killed: by the kernel, by the engine or by somebody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerExit:
    """How a container ended; ``out_of_memory`` when the kernel killed it for its limit."""

    container_id: str
    exit_code: int
    out_of_memory: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAuth:
    """Who asks a registry; never printed, never stored. An identity token stands for a password where there is one."""

    username: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)


class ImageTransfer(Protocol):
    """Names of images, and images between an engine's store and registries."""

    def tag(self, reference: str, new: str) -> None:
        """Give the image `reference` a second name."""
        ...

    def pull(self, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]) -> ImageFacts:
        """Get an image from its registry; its digest is checked by the engine."""
        ...

    def push(self, reference: str, auth: RegistryAuth | None, on_event: Callable[[BuildEvent], None]) -> str:
        """Send an image to the registry that its name says; gives the manifest's digest."""
        ...

    def remove_image(self, reference: str) -> None:
        """Remove a name of an image, and the image with its last name; one that is gone is fine."""
        ...


class ImageMoves(ImageTransfer, Protocol):
    """Images in and out of an engine's store; the engines' shared half that runs nothing."""

    def save(self, references: Sequence[str], out: Path) -> None:
        """Write images with all their layers into one archive (an OCI layout in a tar)."""
        ...

    def load(self, archive: Path) -> tuple[str, ...]:
        """Take the images of such an archive in; gives their names."""
        ...


class Sweepable(Protocol):
    """What a sweep needs of an engine."""

    def containers(self, label: str) -> list[ContainerFacts]:
        """Containers with this label (``name`` or ``name=value``), running or not."""
        ...

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not; one that is gone is fine."""
        ...


class Engine(ImageMoves, Sweepable, Protocol):
    """What mlorch asks of an engine. Every failure is raised as `EngineError` or `StepFailed`."""

    name: str

    def facts(self) -> EngineFacts: ...

    def daemon_limits(self) -> dict[str, int | None]:
        """The most that a container's rlimits may be, by name; None without a bound, empty where not known."""
        ...

    def image(self, reference: str) -> ImageFacts | None: ...

    def images(self, label: str) -> list[ImageFacts]: ...

    def require_builder(self) -> None:
        """Raise `EngineError` where this engine cannot build, with what is missing."""
        ...

    def build(self, request: BuildRequest, on_event: Callable[[BuildEvent], None]) -> ImageFacts: ...

    def run(self, spec: ContainerSpec, on_line: Callable[[str], None]) -> ContainerExit:
        """Create, start and wait; the container is removed afterwards, whatever happens (see `wait_removed`)."""
        ...

    def attach(self, spec: ContainerSpec) -> int:
        """Run a container with this process's input, output and terminal, if any; gives its exit status."""
        ...

    def deployed(self, name: str) -> Deployed | None:
        """A container that runs, as the engine tells it; None where none of this name is running (any more)."""
        ...

    def wait_removed(self) -> None:
        """Until the containers that ended are gone: an engine may remove them while their results are read."""
        ...

    def stop(self, container_id: str, grace_s: int = 10) -> None: ...


class EngineFactory(Protocol):
    """What a module of `ENGINES` offers to commands; importing it costs no client library."""

    def connect(self, access: EngineAccess = ...) -> Engine:
        """The engine; `EngineError` where none answers."""
        ...

    def warm(self) -> None:
        """Import what runs containers, while the engine is still being asked what it is."""
        ...

    def fast_lookup(self, access: EngineAccess = ...) -> LookUp | None:
        """Asks for images without the engine's client; None where only `Engine.image` can.

        `EngineError` where no engine answers, as far as that is known without a client.
        """
        ...

    def fast_repository_lookup(self, access: EngineAccess = ...) -> RepositoryLookUp | None:
        """Asks for the labels of a repository's images without the client; None and `EngineError` as `fast_lookup`."""
        ...

    def sweepable(self, access: EngineAccess = ...) -> Sweepable | None:
        """What finds and removes containers quickly; None where there can be none, or no engine answers."""
        ...

    def unmet_requirement(self, facts: EngineFacts) -> str:
        """Why mlorch cannot build with this engine; empty where it can."""
        ...

    def ensure(self, consent: Consent, access: EngineAccess = ...) -> tuple[EngineFacts, tuple[str, ...]]:
        """An engine that can build, got and started where there is none; and what was done for that."""
        ...

    def builder(self, facts: EngineFacts) -> tuple[str, str, str]:
        """What builds, what its images lack, and what to do about that (both empty where nothing)."""
        ...
