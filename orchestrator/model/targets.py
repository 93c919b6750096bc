"""A hardware target: its layers, how a host shows that it has it, and what its containers are given."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from orchestrator.model.base import (
    Definition,
    EnvName,
    EnvValue,
    Framework,
    Name,
    Platform,
    Size,
    Strict,
)


class Reasoned(Strict):
    """Something the container is given beyond the least, and why."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./*-]+\Z")]
    reason: str = Field(min_length=8)


class Device(Reasoned):
    """A device node on the host, or a CDI name; a glob may match several nodes."""

    cdi: str = ""


class Detect(Strict):
    """When the target counts as present on a host; `always` is for plain processors."""

    always: bool = False
    machine: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


class Target(Definition):
    """A kind of hardware: its layers and what its containers are given."""

    kind: Literal["target"]
    platforms: tuple[Platform, ...] = Field(min_length=1)
    base: Name
    runtime: Name
    frameworks: dict[Framework, Name] = Field(min_length=1)
    """Framework → its layer here; a benchmark that can use one of them runs on this target."""
    prefer: tuple[Framework, ...] = ()
    """Frameworks that count before the benchmark's own order, best first."""
    providers: dict[Framework, tuple[str, ...]] = Field(default_factory=dict)
    priority: int = Field(default=0, ge=0, le=100)
    detect: Detect = Detect()
    devices: tuple[Device, ...] = ()
    groups: tuple[Name, ...] = ()
    capabilities: tuple[Reasoned, ...] = ()
    ulimits: dict[Name, Annotated[str, StringConstraints(pattern=r"^(?:unlimited|[0-9]+)\Z")]] = Field(
        default_factory=dict
    )
    shm: Size = "64m"
    ipc: Literal["private", "host"] = "private"
    env: dict[EnvName, EnvValue] = Field(default_factory=dict)
