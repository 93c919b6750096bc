"""How one step of somebody else's harness ended: whether it did its work, made its files, and what is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import AssetError, StepFailed
from orchestrator.facts.record import StepFact
from orchestrator.runs.console_log import tail
from orchestrator.runs.external import Output, log_of, step_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from orchestrator.facts.external import ExternalRun, PlannedArtifact, PlannedStep
    from orchestrator.runs.one_container import Followed


class StepEnded(Exception):
    """A step ended and did not do its work; what it left in a folder that was being made is thrown away."""

    def __init__(self, error: StepFailed, followed: Followed | None) -> None:
        super().__init__(error.message)
        self.error = error
        self.followed = followed


def require_files(artifact: PlannedArtifact) -> Callable[[Mapping[str, str]], None]:
    """Raises `AssetError` [artifact-missing] where the hashes of what a step made lack a file of the artefact."""

    def check(hashes: Mapping[str, str]) -> None:
        absent = [name for name in artifact.files if name not in hashes]
        if absent:
            raise AssetError(
                f"the step did not make {', '.join(absent)} in {artifact.target}",
                hint=f"it made: {', '.join(sorted(hashes)[:8]) or 'nothing'}",
                slug="artifact-missing",
            )

    return check


def failure_of(
    external: ExternalRun, planned: PlannedStep, followed: Followed, output: Output, folder: Path
) -> StepFailed | None:
    """Why a step that ended did not do its work. A container that was killed for memory is told by its caller."""
    log = folder / log_of(planned)
    if followed.timed_out:
        return StepFailed(
            f"step `{planned.name}` was stopped after {followed.seconds:,.0f} s, its limit",
            hint=f"`timeout` of the step is the limit, or --timeout; the whole log is in {log}",
            slug="timeout",
            detail=tail(log),
        )
    error = step_failure(external, output, planned.name, followed.exit.exit_code)
    if error is not None:
        error.detail = tail(log)
        error.hint = f"{error.hint}; the whole log is in {log}" if error.hint else f"the whole log is in {log}"
    return error


def fact_of(planned: PlannedStep, followed: Followed | None) -> StepFact:
    """What the record keeps of a step; of one that did not run, that its artefact was used again."""
    return StepFact(
        name=planned.name,
        role=planned.role,
        argv=planned.container.command,
        exit_code=None if followed is None else followed.exit.exit_code,
        seconds=0.0 if followed is None else round(followed.seconds, 3),
        artifact=planned.artifact.key if planned.artifact else "",
        reused=followed is None,
    )
