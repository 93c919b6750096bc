"""The factory of the Docker engine: what commands ask before any docker client is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engines.access import HERE, EngineAccess
from orchestrator.engines.docker.hosts import find_host, require_listener, silence, socket_path

if TYPE_CHECKING:
    from orchestrator.engines.consent import Consent
    from orchestrator.engines.docker.engine import DockerEngine
    from orchestrator.engines.docker.lookup import Lookup
    from orchestrator.engines.inventory import LookUp, RepositoryLookUp
    from orchestrator.engines.model import EngineFacts

_SWEEP_TIMEOUT_S = 10.0


def connect(access: EngineAccess = HERE) -> DockerEngine:
    """The engine that `find_host` finds; `EngineError` where none answers."""
    from orchestrator.engines.docker import engine as docker

    return docker.connect(find_host(access.host))


def warm() -> None:
    """Import Docker's SDK, which runs containers: beside other work it costs nothing."""
    import docker  # noqa: F401


def fast_lookup(access: EngineAccess = HERE) -> LookUp | None:
    """Asks for images over the engine's socket; None where it has none on this host.

    Raises:
        EngineError: nobody listens there (`no-engine`).
    """
    lookup = _socket_lookup(access)
    return None if lookup is None else lookup.images


def fast_repository_lookup(access: EngineAccess = HERE) -> RepositoryLookUp | None:
    """Asks for the labels of a repository's images over the socket; None and `EngineError` as `fast_lookup`."""
    lookup = _socket_lookup(access)
    return None if lookup is None else lookup.labels_in


def _socket_lookup(access: EngineAccess) -> Lookup | None:
    host = find_host(access.host)
    require_listener(host)
    from orchestrator.engines.docker.lookup import socket_lookup

    return socket_lookup(host, silent_s=access.silent_s)


def sweepable(access: EngineAccess = HERE) -> Lookup | None:
    """Finds and removes containers over the engine's socket; None where nobody listens."""
    host = find_host(access.host)
    path = socket_path(host)
    if path is None or silence(path):
        return None
    from orchestrator.engines.docker.lookup import socket_lookup

    return socket_lookup(host, _SWEEP_TIMEOUT_S)


def ensure(consent: Consent, access: EngineAccess = HERE) -> tuple[EngineFacts, tuple[str, ...]]:
    """See `orchestrator.engines.private.ensure.ensure`."""
    from orchestrator.engines.private.ensure import ensure as make_sure

    return make_sure(consent, access.host)


def unmet_requirement(facts: EngineFacts) -> str:
    """Why mlorch cannot build with this engine; empty where it can."""
    from orchestrator.engines.docker.facts import unmet_requirement as why

    return why(facts)


def builder(facts: EngineFacts) -> tuple[str, str, str]:
    """What builds, what its images lack, and what to do about that (both empty where nothing)."""
    name = f"buildx {facts.buildx}" if facts.buildx else "no buildx (missing)"
    if facts.containerd_store:
        return f"{name}, containerd image store", "", ""
    return (
        name,
        "images have no digest before they are pushed",
        'turn on the containerd image store: {"features": {"containerd-snapshotter": true}} in daemon.json',
    )
