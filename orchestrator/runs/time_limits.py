"""How long the containers of a test may run, and what is told of one that took longer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.engines.stopper import SILENCE
from orchestrator.errors import StepFailed
from orchestrator.facts.runs import DEFAULT, TimeLimit
from orchestrator.runs.console_log import tail

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.facts.external import PlannedStep
    from orchestrator.facts.runs import RunStep
    from orchestrator.runs.one_container import Followed


def limit_of_step(step: RunStep, planned: PlannedStep) -> TimeLimit:
    """How long a step of an external harness may take: as its recipe says, and no longer than the command line does."""
    seconds = planned.timeout_s
    if step.limit is not None and step.limit.source != DEFAULT:
        seconds = min(seconds, step.limit.total_s)
    return TimeLimit(total_s=seconds)


def limit_of_scoring(step: RunStep) -> TimeLimit | None:
    """How long the container that counts an accuracy may take: as the test, but it tells of no steps on its way."""
    return None if step.limit is None else replace(step.limit, silence_s=None)


def timeout_failure(step: RunStep, followed: Followed, log: Path) -> StepFailed | None:
    """Whether a container was stopped because it took too long, or said nothing for too long."""
    if not followed.timed_out or step.limit is None:
        return None
    limit = step.limit
    why, what = f"after {limit.total_s:,} s, its limit", f"the limit (now {limit.total_s:,} s)"
    if followed.timed_out == SILENCE:
        why = f"as it had printed nothing for {limit.silence_s:,} s"
        what = f"the limit of silence too (now {limit.silence_s:,} s)"
    return StepFailed(
        f"the test was stopped {why}",
        hint=f"`--timeout` of `mlorch run` is {what}; the whole log is in {log}",
        slug="timeout",
        detail=tail(log),
    )
