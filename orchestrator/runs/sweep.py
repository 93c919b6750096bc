"""After a crash: find the containers that a dead mlorch left, remove them, and say so in their records."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import MlorchError
from orchestrator.facts.run_steps import OWNER_LABEL
from orchestrator.host.process import alive, boot_id, parse_owner_label, pid_namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.engines import ContainerFacts

RUN_LABEL = "org.mlorch.run"


class Sweepable(Protocol):
    """What the sweep needs of an engine: `engines.Engine` has it, and `engines.lookup.Containers`."""

    def containers(self, label: str) -> Sequence[ContainerFacts]:
        """Containers with this label, running or not."""
        ...

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not; one that is gone is fine."""
        ...


class Interruptible(Protocol):
    """What the sweep needs of a results store."""

    def sweep(self) -> object:
        """Turn the records of dead owners from ``running`` to ``interrupted``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """A container that was removed, and the run that it belonged to."""

    container_id: str
    run_id: str


def sweep(engine: Sweepable | None, store: Interruptible | None = None) -> tuple[Swept, ...]:
    """Remove orphaned containers and mark their records; without an engine only the records.

    Never touches a container whose mlorch may live: one in another pid namespace or
    on another machine cannot be seen from here, so it counts as alive while it runs.
    """
    swept = []
    for found in engine.containers(RUN_LABEL) if engine is not None else ():
        if engine is None or not orphaned(found):
            continue
        with contextlib.suppress(MlorchError):  # another mlorch may sweep at the same time
            engine.remove(found.container_id)
            swept.append(Swept(container_id=found.container_id, run_id=found.labels.get(RUN_LABEL, "")))
    if store is not None:
        store.sweep()
    return tuple(swept)


def orphaned(found: ContainerFacts) -> bool:
    """Whether the mlorch that made this container is gone."""
    parsed = parse_owner_label(found.labels.get(OWNER_LABEL, ""))
    if parsed is None:
        return False
    owner, namespace = parsed
    if owner.boot_id != boot_id() or namespace != pid_namespace():
        return found.state in {"exited", "dead", "created"} and owner.boot_id != boot_id()
    return not alive(owner)
