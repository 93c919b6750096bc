"""What a run measured: LoadGen's logs and harness.json read once, when it ends; later the record has it."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.measured import GOOD_VERDICTS, Accuracy, Ceiling, LoadGenResult, Measured
from orchestrator.facts.metrics import ALL_LATENCIES, text
from orchestrator.facts.neutral import one_line
from orchestrator.host.untrusted import UnreadableFile, read_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.facts.record import AccuracyGoal, RunRecord
    from orchestrator.results.compliance import Verified

HARNESS, ACCURACY, CEILING = "harness.json", "accuracy.json", "ceiling.json"
_LARGEST = 2**63
_SHOWN_ERRORS = 3
_MOST_FIGURES, _LONGEST_NAME = 100, 100
"""Of accuracies that somebody else's program may tell."""
_Z = 1.959963984540054
"""Between plus and minus this lie 95 % of a normal distribution."""


def measure(record: RunRecord, folder: Path, harness: Mapping[str, object]) -> tuple[Measured, StepFailed | None]:
    """What the files of a run say, and why LoadGen's logs could not be read if they could not.

    ``harness`` is the document of harness.json, empty where there is none. LoadGen's accuracy log, which may be
    large, is not read here: a run's end looks it through (`results.accuracy_log`), and `results verify` reads it.
    """
    result, unread = _read_logs(folder)
    accuracies = accuracies_of(harness, record.accuracy_goal, record.other_goals)
    problem = unread.message if unread is not None else ""
    if record.mode == "accuracy" and not accuracies:
        problem = problem or f"{HARNESS} holds no accuracy"
    verdict = verdict_of(record.mode, result, accuracies)
    said = _compliance(record, folder)
    verdict = verdict if said is None else _judged(said, verdict)
    if record.role_faults and (verdict in GOOD_VERDICTS or record.mode == "performance"):
        verdict = "FAILED" if record.mode == "accuracy" else "INVALID"
    problems = () if record.error is not None or not problem else (problem,)
    reasons = (*problems, *record.role_faults, *_told(record, said), *_reasons(verdict, result, accuracies))
    measured = Measured(
        verdict=verdict,
        reasons=reasons,
        loadgen=result,
        accuracy=accuracies[0] if accuracies else None,
        other_accuracies=accuracies[1:],
        ceiling=ceiling_of(folder) if record.roles and record.mode == "performance" else None,
    )
    return measured, unread


def _judged(said: Verified, verdict: str) -> str:
    """The verdict of a compliance test, whose LoadGen test has to be VALID too."""
    return "PASSED" if said.passed and verdict == "VALID" else "FAILED"


def _told(record: RunRecord, said: Verified | None) -> tuple[str, ...]:
    return () if said is None or record.error is not None else said.reasons


def _compliance(record: RunRecord, folder: Path) -> Verified | None:
    """What was said of a compliance test; None of any other test."""
    if record.compliance is None:
        return None
    from orchestrator.results.compliance import verified

    return verified(record.compliance, folder)


def _read_logs(folder: Path) -> tuple[LoadGenResult | None, StepFailed | None]:
    """What LoadGen's logs say, and why they do not count where one is not whole."""
    from orchestrator.results import loadgen  # (not where records are only listed)

    try:
        return loadgen.parse(folder), None
    except StepFailed as error:
        return None, error


def ceiling_of(folder: Path) -> Ceiling | None:
    """What the client reached against a server that answers at once; None where nobody measured it."""
    try:
        found = read_object(folder, CEILING)
    except UnreadableFile:
        return None
    requests, tokens = _number(found.get("requests_per_s")), _number(found.get("tokens_per_s"))
    if requests is None or tokens is None or requests < 0 or tokens < 0:
        return None
    processes, unix_ns = found.get("processes"), found.get("unix_ns")
    return Ceiling(
        requests_per_s=requests,
        tokens_per_s=tokens,
        processes=processes if type(processes) is int and 0 < processes < _LARGEST else None,
        unix_ns=unix_ns if type(unix_ns) is int and 0 < unix_ns < _LARGEST else 0,
    )


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
    """What the harness wrote last, with what counted its accuracy; empty where it did not, or wrote something else."""
    try:
        found = read_object(folder, HARNESS)
    except UnreadableFile:
        return {}
    if found.get("accuracy") is None and found.get("status") == "done":
        with contextlib.suppress(UnreadableFile):
            found["accuracies"] = read_object(folder, ACCURACY).get("accuracies")
    return found


def verdict_of(mode: str, result: LoadGenResult | None, accuracies: Sequence[Accuracy]) -> str:
    """One word about a run that did its work; its accuracy passed where every figure with a goal reaches it."""
    if mode == "accuracy":
        if result is not None and result.error_count:
            return "FAILED"
        reached = [one.reached for one in accuracies if one.reached is not None]
        if not accuracies or not all(reached):
            return "FAILED"
        return "PASSED" if reached else "MEASURED"
    if result is None:
        return "NO RESULT"
    return "VALID" if result.valid and not result.error_count else "INVALID"


def _reasons(verdict: str, result: LoadGenResult | None, accuracies: Sequence[Accuracy]) -> list[str]:
    found: list[str] = []
    if result is not None and verdict not in GOOD_VERDICTS:
        found += [*result.reasons, *error_reasons(result)]
    for one in accuracies:
        if one.reached is False:
            name = f"{one.name}: " if len(accuracies) > 1 else ""
            found.append(f"{name}{_missed(one)}")
    return found


def error_reasons(result: LoadGenResult) -> list[str]:
    """The errors that LoadGen logged: how many, and the first of them."""
    count = result.error_count
    if not count:
        return []
    some = [one_line(text) for text in result.errors[:_SHOWN_ERRORS]]
    return [f"LoadGen logged {count:,} error{'s' if count > 1 else ''}", *some]


def _missed(accuracy: Accuracy) -> str:
    if accuracy.minimum is not None and accuracy.value < accuracy.minimum:
        return f"{text(accuracy.value, accuracy.unit)} is below {text(accuracy.minimum, accuracy.unit)}"
    return f"{text(accuracy.value, accuracy.unit)} is above {text(accuracy.maximum, accuracy.unit)}"


def accuracies_of(
    harness: Mapping[str, object], goal: AccuracyGoal | None, others: Sequence[AccuracyGoal] = ()
) -> tuple[Accuracy, ...]:
    """The figures that the harness claims, that of ``goal`` first; none where one with a goal is missing."""
    documents = harness.get("accuracies", [harness.get("accuracy")])
    goals = {one.metric: one for one in ([] if goal is None else [goal, *others])}
    found: dict[str, Accuracy] = {}
    for document in documents[:_MOST_FIGURES] if isinstance(documents, list) else ():
        figure = _figure(document, goals)
        if figure is not None:
            found[figure.name] = figure
    if not goals.keys() <= found.keys():
        return ()
    return tuple(found[name] for name in dict.fromkeys((*goals, *found)))


def _figure(document: object, goals: Mapping[str, AccuracyGoal]) -> Accuracy | None:
    """A figure as harness.json has it; in percent it becomes a share."""
    if not isinstance(document, dict):
        return None
    name = one_line(str(document.get("metric", "accuracy")))[:_LONGEST_NAME]
    value, samples = _number(document.get("value")), _number(document.get("samples"))
    if value is None or not isinstance(samples, int):
        return None
    goal = goals.get(name)
    return Accuracy(
        name=name,
        value=_scaled(value, document.get("unit")),
        samples=samples,
        minimum=None if goal is None else _scaled(goal.minimum, goal.unit),
        maximum=None if goal is None or goal.maximum is None else _scaled(goal.maximum, goal.unit),
        unit="" if document.get("unit") == "" else "fraction",
        interval=_interval(document),
    )


def _interval(document: Mapping[str, object]) -> tuple[float, float] | None:
    """The 95 % interval of a figure on the scale of its value; None where it says none, or no two ends in order.

    Of a number of right answers it is Wilson's: the harness's image has no library that would count it.
    """
    correct, samples = document.get("correct"), document.get("samples")
    if document.get("unit") == "%" and type(correct) is int and type(samples) is int and 0 <= correct <= samples > 0:
        return wilson(correct, samples)
    ends = document.get("interval")
    if not isinstance(ends, list) or len(ends) != 2:
        return None
    low, high = _number(ends[0]), _number(ends[1])
    if low is None or high is None or not low <= high:
        return None
    unit = document.get("unit")
    return _scaled(low, unit), _scaled(high, unit)


def wilson(correct: int, samples: int) -> tuple[float, float]:
    """The ends of the 95 % score interval of a share of right answers (E. B. Wilson, 1927), as shares.

    It is what `scipy.stats.binomtest` calls ``wilson``, and stays within 0 and 1 where few samples are wrong.
    """
    share, square = correct / samples, _Z * _Z / samples
    middle = share + square / 2
    half = _Z * math.sqrt(share * (1 - share) / samples + square / (4 * samples))
    low, high = (middle - half) / (1 + square), (middle + half) / (1 + square)
    return round(max(0.0, low), 6), round(min(1.0, high), 6)


def _scaled(value: float, unit: object) -> float:
    """91.06 % is 0.9106, not 0.9106000000000001; of another unit it is the number as it is."""
    return round(value * (0.01 if unit == "%" else 1.0), 12)


def _number(value: object) -> int | float | None:
    """``value`` where it is a number that arithmetic can bear, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < _LARGEST else None
