"""How `mlorch results` lays out runs for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.facts.metrics import nanoseconds, text
from orchestrator.results.summary import accuracy_text, mark, metric_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.console import Console
    from orchestrator.facts.measured import Accuracy, LoadGenResult
    from orchestrator.operations.results import Listing, RunResult, Verified
    from orchestrator.results.summary import Summary


def show_listing(console: Console, listing: Listing) -> None:
    """A row a run: what it came to."""
    if not listing.total:
        console.say(f"no results in {listing.folder}; `mlorch run` makes some")
        return
    rows = [_list_row(one) for one in listing.results]
    console.table(("run", "target", "result", "verdict"), rows, right=(2,), drop=(1,))
    for one in listing.results:
        if one.status == "unreadable":
            console.warn(one.reasons[0])


def _list_row(one: RunResult) -> tuple[str, ...]:
    verdict = mark(one.verdict, good=one.good, running=one.status == "running")
    return (one.run_id, one.target or "–", _outcome(one.metrics), verdict)


def _outcome(metrics: Mapping[str, object]) -> str:
    """What was measured: the scenario's result, or the accuracy."""
    result, accuracy = metrics.get("result"), metrics.get("accuracy")
    if isinstance(result, dict):
        return text(result["value"], result["unit"])
    if isinstance(accuracy, dict):
        return f"{text(accuracy['value'], accuracy['unit'])} of {accuracy['samples']:,}"
    return "–"


def show_verification(console: Console, verified: Verified) -> None:
    """A line a run, and a line each fault."""
    for one in verified.results:
        word = "ok" if one.ok else f"{len(one.faults)} faults"
        console.result(f"{one.run_id}: {word}: {', '.join(one.checked)}")
        for fault in one.faults:
            console.result(f"  {one.folder / fault.file}: {fault.message}")


def show_summary(console: Console, summary: Summary) -> None:
    """Verdict first, then numbers with units, then what they were measured with."""
    record, result = summary.record, summary.loadgen
    rows = [("verdict", mark(summary.verdict, good=summary.good, running=record.status == "running"))]
    rows += [("why", reason) for reason in summary.reasons]
    if result is not None:
        rows += _reported(result)
    rows += [(one.name, f"{accuracy_text(one)} of {one.samples:,} samples{_goal(one)}") for one in summary.accuracies]
    rows += _origin(summary)
    console.table(("", record.run_id), rows)
    _latencies(console, summary)
    if record.settings:
        settings = [(name, _value(one.value), one.source) for name, one in record.settings.items()]
        console.table(("setting", "value", "from"), settings, right=(1,))
    console.result(record.note)


def _goal(accuracy: Accuracy) -> str:
    """What a figure had to reach: ``(at least 90.63 %)``."""
    if accuracy.minimum is None:
        return ""
    most = "" if accuracy.maximum is None else f", at most {text(accuracy.maximum, accuracy.unit)}"
    return f" (at least {text(accuracy.minimum, accuracy.unit)}{most})"


def _reported(result: LoadGenResult) -> list[tuple[str, str]]:
    """What LoadGen reports."""
    rows = [(metric.title, metric_text(metric)) for metric in result.metrics]
    if result.query_count:
        rows.append(("queries", f"{result.query_count:,} of {result.samples_per_query:,} samples"))
    rows += [("early stopping", point) for point in result.early_stopping]
    rows += [("LoadGen warning", warning) for warning in result.warnings]
    return rows


def _origin(summary: Summary) -> list[tuple[str, str]]:
    record = summary.record
    rows = [
        ("benchmark", f"{record.benchmark} on {record.target}, {record.scenario}, {record.mode}"),
        ("started", record.started.utc),
    ]
    if record.ended is not None:
        seconds = (record.ended.unix_ns - record.started.unix_ns) / 1e9
        rows.append(("took", f"{seconds:.1f} s"))
    rows += [
        ("image", record.image.reference),
        ("image digest", record.image.digest or record.image.image_id or "–"),
        ("recipe", f"{record.recipe.origin} (sha256 {record.recipe.sha256[:12]})"),
    ]
    if summary.loadgen is not None:
        rows.append(("LoadGen", summary.loadgen.loadgen_version))
    rows.append(("files", str(summary.folder)))
    return rows


def _latencies(console: Console, summary: Summary) -> None:
    if summary.loadgen is None or not summary.loadgen.latency_ns:
        return
    latency = summary.loadgen.latency_ns
    cells = tuple(nanoseconds(value) for value in latency.values())
    console.table(tuple(f"latency {name}" for name in latency), [cells], right=range(len(cells)))


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    return "–" if value is None else str(value)
