"""After a crash: find the containers that a dead mlorch left, and remove them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError
from orchestrator.facts.containers import OWNER_LABEL
from orchestrator.facts.external import MADE
from orchestrator.host.folders import cache_home, lent_marks
from orchestrator.host.process import boot_id, dead_owner, this_user
from orchestrator.host.scratch import sweep_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.engines import ContainerFacts, Sweepable

RUN_LABEL = "org.mlorch.run"
RESULTS_LABEL = "org.mlorch.results"


def sweep(engine: Sweepable | None) -> list[str]:
    """Remove orphaned containers and take back what they had; gives their runs. The store marks the records.

    Never touches a container whose mlorch may live: one in another pid namespace or on another machine cannot be
    seen from here, so it counts as alive.
    """
    owner = this_user().owner
    swept = _remove_orphans(engine, owner) if engine is not None else []
    sweep_secrets()
    _take_back_artifacts(owner)
    if engine is not None:
        _remove_unfinished()
    return swept


def sweep_and_warn(engine: Sweepable | None, warn: Callable[[str], None]) -> None:
    """As `sweep`, with a warning for each run whose containers were removed."""
    for run_id in sweep(engine):
        warn(f"removed the container of {run_id}, whose mlorch is gone")


def _remove_orphans(engine: Sweepable, owner: str) -> list[str]:
    swept = []
    for found in engine.containers(RUN_LABEL):
        if orphaned(found):
            with contextlib.suppress(MlorchError):  # another mlorch may sweep at the same time
                engine.remove(found.container_id)
                swept.append(found.labels.get(RUN_LABEL, ""))
                _take_back_results(found, owner)
    return list(dict.fromkeys(swept))  # a run may have several containers


def _take_back_results(found: ContainerFacts, owner: str) -> None:
    """Make harmless what a container wrote until it was removed; its record may have been ended before that.

    A label is only words: no folder is touched whose name is not that of a run.
    """
    from orchestrator.facts.runs import RUN_ID
    from orchestrator.host.left_behind import take_back

    run_id = found.labels.get(RUN_LABEL, "")
    folder = Path(found.labels.get(RESULTS_LABEL, "")) / run_id
    if RUN_ID.fullmatch(run_id) and folder.is_absolute():
        take_back(folder, owner)


def _take_back_artifacts(owner: str) -> None:
    """Folders of artefacts that are still lent to runs of dead processes; costs one look where there are none."""
    root = cache_home() / "artifacts"
    if lent_marks(root):
        from orchestrator.runs.artifacts import sweep_artifacts

        sweep_artifacts(root, owner)


def _remove_unfinished() -> None:
    """What a step of a dead run did not finish making: nobody else would, unless he makes the very same."""
    root = cache_home() / "artifacts" / MADE
    if any(root.glob("*/.*.new")):
        from orchestrator.assets.pruning import remove_unfinished

        remove_unfinished(root)


def orphaned(found: ContainerFacts) -> bool:
    """Whether the mlorch that made this container is gone."""
    owner = dead_owner(found.labels.get(OWNER_LABEL, ""))
    if owner is None:
        return False
    # A container that runs belongs to this boot, whatever its label says.
    return owner.boot_id == boot_id() or found.state in {"exited", "dead", "created"}
