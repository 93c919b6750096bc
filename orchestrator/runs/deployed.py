"""What really runs against what was planned: asked of the engine while a container runs, and kept in its record."""

from __future__ import annotations

import contextlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.engines import Engine
    from orchestrator.facts.containers import ContainerSpec, Deployed

ASKED_EVERY_S = 0.25
"""Seconds between two questions until the container runs."""


@dataclass(slots=True)
class Observation:
    """One look at a container; ``deployed`` is None until it was seen running."""

    deployed: Deployed | None = None


@contextmanager
def observed(engine: Engine, spec: ContainerSpec) -> Iterator[Observation]:
    """Ask the engine, from a thread, how the container of ``spec`` runs that is started in the ``with``."""
    look, ended = Observation(), threading.Event()

    def ask() -> None:
        while not ended.wait(ASKED_EVERY_S):
            with contextlib.suppress(MlorchError):  # an engine that is gone is told by whoever follows the container
                found = engine.deployed(spec.name)
                if found is not None:
                    look.deployed = replace(found, differences=differences(spec, found))
                    return

    thread = threading.Thread(target=ask, name=f"look-{spec.name}", daemon=True)
    thread.start()
    try:
        yield look
    finally:
        ended.set()
        thread.join()


def differences(spec: ContainerSpec, found: Deployed) -> tuple[str, ...]:
    """What a container that runs has otherwise than it was asked for, for people; pure."""
    planned: dict[str, object] = {
        "command": spec.command,
        "user": spec.user,
        "read-only": spec.read_only,
        "privileged": False,
        "mounts": {mount.target: mount.read_only for mount in spec.mounts},
        "capabilities": tuple(sorted(spec.capabilities)),
        "processors": ",".join(map(str, spec.cpus)),
        "memory": spec.memory or 0,
        "processes": spec.pids,
    }
    runs: dict[str, object] = {
        "command": found.command,
        "user": found.user,
        "read-only": found.read_only,
        "privileged": found.privileged,
        "mounts": dict(found.mounts),
        "capabilities": found.capabilities,
        "processors": found.cpus,
        "memory": found.memory,
        "processes": found.pids,
    }
    told = [f"{name}: planned {was}, runs with {runs[name]}" for name, was in planned.items() if was != runs[name]]
    if found.network != spec.network and not (spec.network.startswith("container:") and _joins(found.network)):
        told.append(f"network: planned {spec.network}, runs with {found.network}")
    lacking = sorted(set(spec.env) - set(found.env))
    if lacking:
        told.append(f"environment: lacks {', '.join(lacking)}")
    if not found.dropped:  # docker says ALL, podman names each
        told.append("capabilities: planned without any other, and none was dropped")
    return tuple(told)


def _joins(network: str) -> bool:
    """Another container's namespace, which an engine tells by the container's id."""
    return network.startswith("container:")
