"""What a run measured: LoadGen's logs and harness.json read once, when it ends; later the record has it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.measured import GOOD_VERDICTS, Accuracy, LoadGenResult, Measured
from orchestrator.facts.metrics import ALL_LATENCIES, percent
from orchestrator.host.untrusted import UnreadableFile, read_object

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.facts.record import AccuracyGoal, RunRecord

HARNESS = "harness.json"
_LARGEST = 2**63


def measure(record: RunRecord, folder: Path, harness: Mapping[str, object]) -> tuple[Measured, StepFailed | None]:
    """What the files of a run say, and why LoadGen's logs could not be read if they could not.

    ``harness`` is the document of harness.json, empty where there is none.
    """
    from orchestrator.results import loadgen  # (not where records are only listed)

    result, unread = None, None
    try:
        result = loadgen.parse(folder)
    except StepFailed as error:
        unread = error
    accuracy = accuracy_of(harness, record.accuracy_goal)
    problem = unread.message if unread is not None else ""
    if record.mode == "accuracy" and accuracy is None:
        problem = problem or f"{HARNESS} holds no accuracy"
    verdict = verdict_of(record.mode, result, accuracy)
    problems = () if record.error is not None or not problem else (problem,)
    reasons = (*problems, *_reasons(verdict, result, accuracy))
    return Measured(verdict=verdict, reasons=reasons, loadgen=result, accuracy=accuracy), unread


def measured_of(record: RunRecord, folder: Path) -> Measured:
    """What a run that ended measured: from its record, or from its logs where mlorch 0.1 wrote the record."""
    if record.measured is None:
        return measure(record, folder, harness_document(folder))[0]
    result = record.measured.loadgen
    if result is None:
        return record.measured
    # JSON has its keys in alphabetical order; people read latencies from the least to the most.
    latency = {name: result.latency_ns[name] for name in ALL_LATENCIES if name in result.latency_ns}
    return replace(record.measured, loadgen=replace(result, latency_ns=latency))


def harness_document(folder: Path) -> dict[str, object]:
    """What the harness wrote last; empty where it did not, or wrote something else."""
    try:
        return read_object(folder, HARNESS)
    except UnreadableFile:
        return {}


def verdict_of(mode: str, result: LoadGenResult | None, accuracy: Accuracy | None) -> str:
    """One word about a run that did its work."""
    if mode == "accuracy":
        reached = accuracy.reached if accuracy else False
        return {True: "PASSED", False: "FAILED", None: "MEASURED"}[reached]
    if result is None:
        return "NO RESULT"
    return "VALID" if result.valid else "INVALID"


def _reasons(verdict: str, result: LoadGenResult | None, accuracy: Accuracy | None) -> list[str]:
    found: list[str] = []
    if result is not None and verdict not in GOOD_VERDICTS:
        found += [*result.reasons, *result.errors]
    if accuracy is not None and accuracy.reached is False:
        found.append(f"{percent(accuracy.value)} is below {percent(accuracy.minimum or 0.0)}")
    return found


def accuracy_of(harness: Mapping[str, object], goal: AccuracyGoal | None) -> Accuracy | None:
    """The accuracy that the harness claims, as a share; None where there is none."""
    found = harness.get("accuracy")
    if not isinstance(found, dict):
        return None
    value, samples = _number(found.get("value")), _number(found.get("samples"))
    if value is None or not isinstance(samples, int):
        return None
    minimum = goal.minimum * _scale(goal.unit) if goal else None
    # 91.06 % is 0.9106, not 0.9106000000000001.
    return Accuracy(
        name=str(found.get("metric", "accuracy")),
        value=round(float(value) * _scale(found.get("unit")), 12),
        samples=samples,
        minimum=None if minimum is None else round(minimum, 12),
    )


def _scale(unit: object) -> float:
    return 0.01 if unit == "%" else 1.0


def _number(value: object) -> int | float | None:
    """``value`` where it is a number that arithmetic can bear, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < _LARGEST else None
