"""One run as a person and a program want it: verdict, accuracy, result, latencies; with units."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.metrics import LATENCIES, nanoseconds, percent, text
from orchestrator.results import loadgen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.facts.record import RunRecord
    from orchestrator.results.loadgen import LoadGenResult, Metric
    from orchestrator.results.store import Entry

GOOD = frozenset({"VALID", "PASSED", "MEASURED"})
"""Verdicts of runs that ended and whose result counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """A share of right answers: ``value`` between 0 and 1, over ``samples``; ``minimum`` is the goal, if any."""

    name: str
    value: float
    samples: int
    minimum: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is met; None without one."""
        return None if self.minimum is None else self.value >= self.minimum


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A record with what its files say. ``problem`` tells why there is no result."""

    record: RunRecord
    folder: Path
    loadgen: LoadGenResult | None = None
    accuracy: Accuracy | None = None
    problem: str = ""

    @property
    def verdict(self) -> str:
        """One word: VALID, INVALID, PASSED or FAILED (accuracy against its goal), or the status.

        CHANGED where the record and LoadGen's log disagree: then one was edited afterwards.
        """
        if self.record.status != "done":
            return self.record.status.upper()
        if self.record.mode == "accuracy":
            reached = self.accuracy.reached if self.accuracy else False
            return {True: "PASSED", False: "FAILED", None: "MEASURED"}[reached]
        if self.loadgen is None:
            return "NO RESULT"
        if self.loadgen.valid != self.record.valid:  # one of the two was edited: neither is believed
            return "CHANGED"
        return "VALID" if self.record.valid else "INVALID"

    @property
    def good(self) -> bool:
        """Whether the run ended and its result counts."""
        return self.verdict in GOOD

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not good: the error, LoadGen's reasons and errors, an accuracy below its goal."""
        found = [self.problem] if self.problem else []
        if self.record.error is not None:
            found.append(self.record.error.message)
        if self.verdict == "CHANGED":
            found.append("the record and LoadGen's log disagree; `mlorch results verify` tells what was edited")
        if self.loadgen is not None and not self.good:
            found += [*self.loadgen.reasons, *self.loadgen.errors]
        if self.accuracy is not None and self.accuracy.reached is False:
            found.append(f"{percent(self.accuracy.value)} is below {percent(self.accuracy.minimum or 0.0)}")
        return tuple(dict.fromkeys(found))


def verdict(folder: Path) -> bool | None:
    """LoadGen's verdict on the run in ``folder``; raises `StepFailed` [loadgen-log]."""
    return loadgen.parse(folder).valid


def summarise(record: RunRecord, folder: Path) -> Summary:
    """Read the files of a run; whatever is missing or broken becomes ``problem``, never an error."""
    if record.status in {"running", "interrupted"}:
        # LoadGen's files may look whole where nobody saw the run end: half a result is none.
        return Summary(record=record, folder=folder)
    problem, result = "", None
    try:
        result = loadgen.parse(folder)
    except StepFailed as exc:
        problem = "" if record.error else exc.message
    accuracy = _accuracy(record, folder)
    if record.mode == "accuracy" and record.status == "done" and accuracy is None:
        problem = problem or f"{folder / 'harness.json'} holds no accuracy"
    return Summary(record=record, folder=folder, loadgen=result, accuracy=accuracy, problem=problem)


def summaries(entries: Sequence[Entry]) -> list[Summary]:
    """The readable ones of ``entries``, in their order."""
    return [summarise(entry.record, entry.folder) for entry in entries if entry.record is not None]


def harness_document(folder: Path) -> dict[str, object]:
    """What the harness wrote last; empty when it did not or when it is broken."""
    try:
        document = json.loads((folder / "harness.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _accuracy(record: RunRecord, folder: Path) -> Accuracy | None:
    found = harness_document(folder).get("accuracy")
    if not isinstance(found, dict):
        return None
    value, samples, unit = found.get("value"), found.get("samples"), found.get("unit")
    if not isinstance(value, int | float) or not isinstance(samples, int):
        return None
    scale = 0.01 if unit == "%" else 1.0
    goal = record.accuracy_goal
    minimum = goal.minimum * (0.01 if goal.unit == "%" else 1.0) if goal else None
    # 91.06 % is 0.9106, not 0.9106000000000001.
    return Accuracy(
        name=str(found.get("metric", "accuracy")),
        value=round(value * scale, 12),
        samples=samples,
        minimum=None if minimum is None else round(minimum, 12),
    )


# -- for programs --------------------------------------------------------------------------


def document(summary: Summary) -> dict[str, object]:
    """One element of ``results`` in the JSON of `run` and `results` (design.md, JSON contract)."""
    record = summary.record
    return {
        "run_id": record.run_id,
        "session": record.session,
        "benchmark": record.benchmark,
        "target": record.target,
        "scenario": record.scenario,
        "mode": record.mode,
        "status": record.status,
        "verdict": summary.verdict,
        "valid": {"VALID": True, "INVALID": False}.get(summary.verdict),
        "reasons": list(summary.reasons),
        "started": record.started.utc,
        "metrics": _metrics(summary),
        "image_digest": record.image.digest or record.image.image_id,
        "record": str(summary.folder / "run.json"),
        "note": record.note,
    }


def _metrics(summary: Summary) -> dict[str, object]:
    metrics: dict[str, object] = {"accuracy": None, "result": None, "latency_ns": None}
    accuracy, result = summary.accuracy, summary.loadgen
    if accuracy is not None:
        metrics["accuracy"] = {
            "name": accuracy.name,
            "value": accuracy.value,
            "unit": "fraction",
            "samples": accuracy.samples,
            "minimum": accuracy.minimum,
            "reached": accuracy.reached,
        }
    if result is not None and result.metrics:
        metrics["result"] = _metric(result.metrics[0])
        metrics["others"] = [_metric(metric) for metric in result.metrics[1:]]
        metrics["latency_ns"] = {
            **{name: result.latency_ns.get(name) for name in LATENCIES},
            **result.latency_ns,
        }
        metrics["queries"] = result.query_count
        metrics["samples"] = result.sample_count
    return metrics


def _metric(metric: Metric) -> dict[str, object]:
    return {
        "name": metric.name,
        "value": metric.value,
        "unit": metric.unit,
        "title": metric.title,
        "higher_is_better": metric.higher_is_better,
    }


# -- for people ----------------------------------------------------------------------------

COLUMNS = ("benchmark", "scenario", "mode", "result", "p50", "p90", "p99", "accuracy", "verdict")
RIGHT = (3, 4, 5, 6, 7)
"""The columns of numbers; every cell carries its unit."""
DROP = (4, 5, 6)
"""The columns that a narrow terminal does without, the first of them first: the report has them."""


def row(summary: Summary, *, marks: bool = True) -> tuple[str, ...]:
    """The cells of `COLUMNS`; with ``marks`` the verdict carries its colour for `Console.table`."""
    record, result = summary.record, summary.loadgen
    latency = result.latency_ns if result else {}
    headline = metric_text(result.result) if result and result.result else "–"
    accuracy = summary.accuracy
    word = summary.verdict
    return (
        record.benchmark,
        record.scenario,
        record.mode,
        headline,
        *(nanoseconds(latency[name]) if name in latency else "–" for name in ("p50", "p90", "p99")),
        f"{percent(accuracy.value)} of {accuracy.samples:,}" if accuracy else "–",
        mark(word, good=summary.good, running=record.status == "running") if marks else word,
    )


def mark(word: str, *, good: bool, running: bool = False) -> str:
    """``word`` with the colour that says how it ended."""
    colour = "green" if good else "yellow" if running else "bold red"
    return f"[{colour}]{word}[/]"


def metric_text(metric: Metric) -> str:
    """A metric with its unit: ``2,275.1 samples/s``, ``459 µs``."""
    return text(metric.value, metric.unit)
