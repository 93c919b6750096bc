"""Servers that stay up from test to test, where their recipe wants it (`restart: run`).

One set at a time, as they hold the processors of the run: a test that needs others ends these.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.facts.external import only_its_test_joins
from orchestrator.runs.roles import Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orchestrator.engines import Engine
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.facts.roles import PlannedRoles
    from orchestrator.facts.runs import RunStep


@dataclass(slots=True)
class KeptServers:
    """``_servers`` are those that are up between two tests, None where there are none."""

    _servers: Servers | None = None

    @property
    def started_by(self) -> str:
        """The test that started them, empty where there are none: their containers have its label."""
        return "" if self._servers is None else self._servers.by

    def joined(self, step: RunStep) -> RunStep:
        """The test as it is run beside the servers that are there; others than it needs are ended."""
        servers = self._servers
        if servers is None:
            return step
        if step.roles is None or not servers.well or not _alike(servers.roles, step.roles):
            self.end()
            return step
        network = servers.roles.servers[0].container.network
        roles = replace(
            step.roles,
            probes=servers.roles.probes,
            servers=servers.roles.servers,
            null_server=_in(network, step.roles.null_server),
            ceiling=_in(network, step.roles.ceiling),
        )
        external = None if step.external is None else only_its_test_joins(step.external, network)
        return replace(step, container=replace(step.container, network=network), roles=roles, external=external)

    @contextmanager
    def for_test(
        self, engine: Engine, roles: PlannedRoles, folder: Path, secrets: tuple[str, ...], say: Callable[[str], None]
    ) -> Iterator[Servers]:
        """The servers of a test that was `joined`, in their namespace: those that are there, or new ones, not started.

        At the end of the ``with`` they are ended, unless they stay for the next test. Raises as `Servers.begin`.
        """
        servers, self._servers = self._servers, None
        try:
            if servers is None:
                servers = Servers(engine, roles, folder, secrets, say)
                servers.begin()
            else:
                servers.go_on(folder, say)
            yield servers
        except BaseException:
            if servers is not None:
                servers.end()
            raise
        if roles.restart == "run" and servers.may_stay and servers.well:
            servers.leave()
            self._servers = servers
        else:
            servers.end()

    def end(self) -> None:
        """End those that are up."""
        servers, self._servers = self._servers, None
        if servers is not None:
            servers.end()


def _in(network: str, container: ContainerSpec | None) -> ContainerSpec | None:
    return None if container is None else replace(container, network=network)


def _alike(there: PlannedRoles, wanted: PlannedRoles) -> bool:
    """Whether the servers that are there are those that a test wants, but for the names that its id gives them."""
    if wanted.restart != "run" or len(there.servers) != len(wanted.servers):
        return False
    return all(
        replace(one, container=_nameless(one.container)) == replace(other, container=_nameless(other.container))
        for one, other in zip(there.servers, wanted.servers, strict=True)
    ) and _nameless(there.probes) == _nameless(wanted.probes)


def _nameless(container: ContainerSpec) -> ContainerSpec:
    return replace(container, name="", network="", labels={})
