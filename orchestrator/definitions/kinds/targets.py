"""A hardware target: its layers, how a host shows that it has it, and what its containers are given."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from orchestrator.definitions.kinds.base import (
    Definition,
    EnvName,
    EnvValue,
    Framework,
    Name,
    Platform,
    Size,
    Strict,
)
from orchestrator.definitions.kinds.detection import Arch, Detect, Note, Variant
from orchestrator.definitions.kinds.host_checks import HostCheck  # noqa: TC001 (pydantic reads it)
from orchestrator.definitions.kinds.passthrough import Passthrough, Why


class Capability(Strict):
    """A capability of the kernel that containers of the target keep, and why.

    Only those that cannot be turned against the host are possible; none that amounts to being root there.
    """

    name: Literal["IPC_LOCK", "PERFMON", "SYS_NICE", "SYS_PTRACE", "SYS_RESOURCE"]
    reason: Why


class Target(Definition):
    """A kind of hardware: its layers and what its containers are given."""

    kind: Literal["target"]
    aliases: tuple[Name, ...] = ()
    """What people call this hardware, for the hint where a name is not known; none of them is a name itself."""
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
    variants: tuple[Variant, ...] = ()
    arch: Arch | None = None
    host: tuple[Name, ...] = ()
    """Names of `hostchecks` definitions: what many targets want of a host."""
    checks: tuple[HostCheck, ...] = ()
    notes: tuple[Note, ...] = ()
    passthrough: Passthrough = Passthrough()
    capabilities: tuple[Capability, ...] = ()
    ulimits: dict[Name, Annotated[str, StringConstraints(pattern=r"^(?:unlimited|[0-9]+)\Z")]] = Field(
        default_factory=dict
    )
    shm: Size = "64m"
    ipc: Literal["private", "host"] = "private"
    env: dict[EnvName, EnvValue] = Field(default_factory=dict)
