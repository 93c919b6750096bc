"""Around the container that verifies a compliance test: what it is given, and whether it did its work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.compliance import FOLDER
from orchestrator.host.left_behind import discard, give
from orchestrator.host.untrusted import UnreadableFile, hash_file
from orchestrator.results.compliance import LOG, verified
from orchestrator.runs.console_log import tail
from orchestrator.runs.record import compliance_fact

if TYPE_CHECKING:
    from orchestrator.facts.compliance import ComparedRun, ComplianceTest, PlannedCompliance
    from orchestrator.facts.measured import LoadGenResult


def changed_logs(run: ComparedRun) -> tuple[str, ...]:
    """The logs of a result that are not what its record says, so that nothing may be compared with them."""
    return tuple(name for name, sha256 in run.files.items() if not _is(run, name, sha256))


def _is(run: ComparedRun, name: str, sha256: str) -> bool:
    try:
        return hash_file(Path(run.folder), name)[0] == sha256
    except UnreadableFile:
        return False


def make_room(folder: Path, planned: PlannedCompliance) -> None:
    """Only what the script writes now is believed: what the test left in its place goes."""
    for name in (FOLDER, LOG):
        discard(folder / name)
    (folder / FOLDER).mkdir()
    give(folder / FOLDER, planned.verification.user)


def audit_failure(test: ComplianceTest, result: LoadGenResult) -> StepFailed | None:
    """Whether LoadGen says that it ran with other settings than the test's audit.config has."""
    used = {name: result.effective.get(_reported(name, result.scenario)) for name in test.audit}
    wrong = [
        f"{name} {value!r}, not {test.audit[name]}" for name, value in used.items() if _differs(value, test.audit[name])
    ]
    if not wrong:
        return None
    return StepFailed(
        f"LoadGen did not run {test.name} as its audit.config has it: {'; '.join(wrong)}",
        hint="mlperf_log_detail.txt has the settings that LoadGen used",
        slug="compliance-failed",
    )


def _reported(name: str, scenario: str) -> str:
    """What LoadGen's log calls a setting; Offline is one query, so that its least queries are that query's samples."""
    if name == "min_query_count" and scenario == "Offline":
        return "samples_per_query"
    return {"min_duration": "min_duration_ms"}.get(name, name)


def _differs(used: object, asked: int) -> bool:
    """Whether LoadGen reports another value; some of its settings it does not report."""
    return isinstance(used, int) and int(used) != asked


def not_comparable(planned: PlannedCompliance) -> StepFailed | None:
    """Whether what the test is compared with has changed since it was measured."""
    for run in planned.compared:
        changed = changed_logs(run)
        if changed:
            return StepFailed(
                f"{planned.test.name} cannot be verified: {', '.join(changed)} of {run.run_id} changed since it ended",
                hint=f"`mlorch results verify {run.run_id}` says what; run the benchmark again for a new result",
                slug="compliance-failed",
            )
    return None


def verification_failure(folder: Path, planned: PlannedCompliance, exit_code: int) -> StepFailed | None:
    """Whether the script did its work; a test that is not passed is no failure of it."""
    log = folder / LOG
    test = planned.test
    hint = f"{log} has all that the script printed"
    said = verified(compliance_fact(planned), folder)
    if exit_code != 0 and said.passed is not False:  # scripts of newer tests end with 1 where they are not passed
        message = f"{test.name} could not be verified: its container ended with {exit_code}"
        return StepFailed(message, hint=hint, detail=tail(log), slug="compliance-failed")
    if said.passed is None:
        message = f"MLCommons' script said nothing of {test.name}: {'; '.join(said.reasons)}"
        return StepFailed(message, hint=hint, detail=tail(log), slug="compliance-failed")
    absent = [name for name in test.files if not (folder / FOLDER / test.name / name).is_file()]
    if absent:
        message = f"MLCommons' script left out what a submission needs of {test.name}: {', '.join(absent)}"
        return StepFailed(message, hint=hint, detail=tail(log), slug="compliance-failed")
    return None
