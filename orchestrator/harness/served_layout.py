"""How many requests servers are asked at once, and by how many processes of the client."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .instances import Layout
from .lines import counted
from .scenarios import SCENARIOS

if TYPE_CHECKING:
    from .settings import Endpoint, Settings

MOST_PROCESSES = 8
"""Of the client, where the settings do not say: LoadGen's own process is full before more of them are."""
IN_FLIGHT = 4096
"""Requests under way at once at each server, where the settings do not say; the rest waits here."""
FILES_BESIDE = 64
"""Of the process's files, what connections leave to others."""


@dataclass(frozen=True)
class _Servers(Layout):
    """``instances`` are servers, ``batch`` the most requests at each."""

    @property
    def words(self) -> str:
        return f"{counted(self.instances, 'server')}, at most {counted(self.batch, 'request')} at once to each"


def processes(settings: Settings) -> int:
    """What the settings say, else one for each processor; where one query waits for the other there is nothing to
    spread, and each would take the way through another process.
    """
    if settings.execution.processes is not None:
        return settings.execution.processes
    scenario = SCENARIOS[settings.scenario]
    if scenario.one_by_one and scenario.samples_per_query is None:
        return 1
    return min(len(settings.execution.cpus), MOST_PROCESSES)


def served_layout(settings: Settings, endpoint: Endpoint, processes: int) -> Layout:
    """As many requests at each server as are asked for, else as many as the processes may have connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IN_FLIGHT * len(endpoint.urls) + FILES_BESIDE
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        hard = wanted
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        soft = hard
    most = max(1, (soft - FILES_BESIDE) // len(endpoint.urls)) * processes  # each takes its share at each server
    given = settings.execution.batch
    if given is not None and given > most:
        raise ValueError(
            f"execution.batch: {given} requests at once at each server, and a process may open {soft} files"
        )
    return _Servers(len(endpoint.urls), 1, given or min(IN_FLIGHT, most))
