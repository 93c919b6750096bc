"""After a crash: find the containers that a dead mlorch left, remove them, and say so in their records."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import MlorchError
from orchestrator.facts.containers import OWNER_LABEL
from orchestrator.host.folders import cache_home
from orchestrator.host.process import alive, boot_id, parse_owner_label, pid_namespace, this_user
from orchestrator.runs.marks import marks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.engines import ContainerFacts

RUN_LABEL = "org.mlorch.run"
RESULTS_LABEL = "org.mlorch.results"
_RUN_ID = re.compile(r"\d{8}T\d{6}Z-[\w.-]+", re.ASCII)


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
    owner = this_user().owner
    for found in engine.containers(RUN_LABEL) if engine is not None else ():
        if engine is None or not orphaned(found):
            continue
        with contextlib.suppress(MlorchError):  # another mlorch may sweep at the same time
            engine.remove(found.container_id)
            swept.append(Swept(container_id=found.container_id, run_id=found.labels.get(RUN_LABEL, "")))
            _take_back_results(found, owner)
    _take_back_artifacts(owner)
    if store is not None:
        store.sweep()
    return tuple(swept)


def _take_back_results(found: ContainerFacts, owner: str) -> None:
    """Make harmless what a container wrote until it was removed; its record may have been ended before that.

    A label is only words: no folder is touched whose name is not that of a run. The record in it counts
    for nothing, as the container could replace or remove it.
    """
    from orchestrator.host.left_behind import take_back

    run_id = found.labels.get(RUN_LABEL, "")
    folder = Path(found.labels.get(RESULTS_LABEL, "")) / run_id
    if _RUN_ID.fullmatch(run_id) and folder.is_absolute():
        take_back(folder, owner)


def _take_back_artifacts(owner: str) -> None:
    """Folders of artefacts that are still lent to runs of dead processes; costs one look where there are none."""
    root = cache_home() / "artifacts"
    if marks(root):
        from orchestrator.runs.artifacts import sweep_artifacts

        sweep_artifacts(root, owner)


def orphaned(found: ContainerFacts) -> bool:
    """Whether the mlorch that made this container is gone."""
    parsed = parse_owner_label(found.labels.get(OWNER_LABEL, ""))
    if parsed is None:
        return False
    owner, namespace = parsed
    if owner.boot_id != boot_id() or namespace != pid_namespace():
        return found.state in {"exited", "dead", "created"} and owner.boot_id != boot_id()
    return not alive(owner)
