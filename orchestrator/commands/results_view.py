"""How `mlorch results show` lays out a run for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.results.summary import Summary


def show_summary(console: Console, summary: Summary) -> None:
    """Verdict first, then numbers with units, then what they were measured with."""
    from orchestrator.facts.metrics import percent
    from orchestrator.results.summary import mark, metric_text

    record, result, accuracy = summary.record, summary.loadgen, summary.accuracy
    rows = [("verdict", mark(summary.verdict, good=summary.good, running=record.status == "running"))]
    rows += [("why", _plain(reason)) for reason in summary.reasons]
    if result is not None:
        rows += [(metric.title, metric_text(metric)) for metric in result.metrics]
        if result.query_count:
            rows.append(("queries", f"{result.query_count:,} of {result.samples_per_query:,} samples"))
        rows += [("early stopping", point) for point in result.early_stopping]
        rows += [("LoadGen warning", _plain(text)) for text in result.warnings]
    if accuracy is not None:
        goal = "" if accuracy.minimum is None else f" (at least {percent(accuracy.minimum)})"
        rows.append((accuracy.name, f"{percent(accuracy.value)} of {accuracy.samples:,} samples{goal}"))
    rows += _origin(summary)
    console.table(("", record.run_id), rows)
    _latencies(console, summary)
    if record.settings:
        settings = [(name, _value(s.value), s.source) for name, s in record.settings.items()]
        console.table(("setting", "value", "from"), settings, right=(1,))
    console.result(record.note)


def _origin(summary: Summary) -> list[tuple[str, str]]:
    record = summary.record
    rows = [
        ("benchmark", f"{record.benchmark} on {record.target}, {record.scenario}, {record.mode}"),
        ("started", record.started.utc),
        ("image", record.image.reference),
        ("image digest", record.image.digest or record.image.image_id or "–"),
        ("recipe", f"{record.recipe.origin} (sha256 {record.recipe.sha256[:12]})"),
    ]
    if record.ended is not None:
        seconds = (record.ended.unix_ns - record.started.unix_ns) / 1e9
        rows.insert(2, ("took", f"{seconds:.1f} s"))
    if summary.loadgen is not None:
        rows.append(("LoadGen", summary.loadgen.loadgen_version))
    rows.append(("files", str(summary.folder)))
    return rows


def _latencies(console: Console, summary: Summary) -> None:
    from orchestrator.facts.metrics import nanoseconds

    if summary.loadgen is None or not summary.loadgen.latency_ns:
        return
    latency = summary.loadgen.latency_ns
    cells = tuple(nanoseconds(value) for value in latency.values())
    console.table(tuple(f"latency {name}" for name in latency), [cells], right=range(len(cells)))


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    return "–" if value is None else _plain(str(value))


def _plain(text: str) -> str:
    """``text`` with brackets that the table would take for marks made harmless."""
    return text.replace("[", "\\[")
