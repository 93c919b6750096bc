"""A run of several containers, planned: servers beside the client, in one network namespace of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.facts.containers import ContainerSpec  # noqa: TC001 (the codec reads the annotations)

PROBES = "probes"
"""The container that holds the network namespace and asks the servers whether they are there; and the side layer that
it runs in where that is not in the client's image."""
FIRST_PORT = 8000
"""Of the namespace's loopback device, which nobody outside of the run can reach; each server has its own."""
NULL_PORT = 7999
CEILING = "ceiling"
"""What the client reaches against a server that answers at once (`mlorch_harness.nullserver`)."""
NULL_SERVER = "ceiling-server"
SERVES = "listening on port "
"""How a line begins that this server prints when it is there."""


def log_of_role(name: str) -> str:
    """The file of the run's folder that has what a role's container prints."""
    return f"console-{name}.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedProbe:
    """How one server is asked: an HTTP GET of ``path`` at ``port``, in seconds as `definitions.kinds.servers.Probe`."""

    port: int
    path: str
    startup_s: int
    every_s: float
    timeout_s: float
    misses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRole:
    """One container of a role; ``name`` is the role's, with the number of the replica where there are several.

    Containers of one ``stage`` start together, each stage when the one before it is ready.
    """

    name: str
    role: str
    stage: int
    container: ContainerSpec
    probe: PlannedProbe


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRoles:
    """What runs beside the client: ``probes`` first, then the ``servers`` stage by stage; they end in turn.

    ``null_server`` and ``ceiling`` are started before them, in the same namespace and on the same processors: what the
    client reaches against a server that answers at once. None in a test that measures nothing. With a ``restart`` of
    ``run`` the probes and servers stay up for the next test that wants the same; of ``mode``, each test has its own.
    """

    probes: ContainerSpec
    servers: tuple[PlannedRole, ...]
    restart: Literal["mode", "run"] = "mode"
    null_server: ContainerSpec | None = None
    ceiling: ContainerSpec | None = None

    @property
    def containers(self) -> tuple[ContainerSpec, ...]:
        """All of them in the order of their start, without the client."""
        first = () if self.null_server is None else (self.null_server,)
        measured = () if self.ceiling is None else (self.ceiling,)
        return (self.probes, *first, *measured, *(one.container for one in self.servers))
