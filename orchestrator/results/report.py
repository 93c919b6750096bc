"""`report.html`: runs as one self-contained page, without script, network or fonts.

Readable in light, dark and print, on a phone and by a screen reader. What the page says is
gathered here; `templates/report.html.j2` lays it out and escapes every value, as they come
from recipes, containers and command lines.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from orchestrator.facts.metrics import nanoseconds, percent, text
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.results import histogram
from orchestrator.results.charts import latency_chart
from orchestrator.results.summary import COLUMNS, RIGHT, metric_text, row
from orchestrator.results.words import facts, limits, setting_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from jinja2 import Environment

    from orchestrator.facts.record import ImageId, RunRecord
    from orchestrator.results.charts import Chart
    from orchestrator.results.loadgen import LoadGenResult
    from orchestrator.results.summary import Summary

T = TypeVar("T")
_TEMPLATES = Path(__file__).with_name("templates")
_COLUMNS = ["p50 latency" if name == "p50" else name for name in COLUMNS]
_WIDTHS = {"wide": 860, "narrow": 340}
"""A picture for a screen and one for a phone; the style sheet shows one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The number that a test is about."""

    value: str
    unit: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Facts of a host and of its engine, as names and values."""

    host: list[tuple[str, str]]
    engine: list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One run; ``kind`` is good, bad or wait, ``cells`` its row in the table of all."""

    summary: Summary
    kind: str
    cells: tuple[str, ...]
    headline: Headline | None
    reasons: tuple[str, ...]
    figures: list[tuple[str, str]]
    errors: int
    """How many LoadGen met."""
    latencies: Mapping[str, str]
    caption: str
    charts: Mapping[str, Chart]
    settings: list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that the page says. What several tests share stands once, in the order in which it came."""

    title: str
    first: RunRecord
    notes: list[str]
    columns: list[str]
    right: tuple[int, ...]
    tests: list[Test]
    not_valid: int
    benchmarks: list[RunRecord]
    """A record of each benchmark."""
    images: list[ImageId]
    machines: list[Machine]
    containers: list[list[tuple[str, str]]]
    insides: list[list[tuple[str, str]]]
    commands: list[str]
    loadgen_versions: list[str]


def render(summaries: Sequence[Summary]) -> str:
    """The page for these runs, in their order; at least one."""
    return templates().get_template("report.html.j2").render(page=page_of(summaries), css=_css())


@cache
def templates() -> Environment:
    """The templates of reports: every value is escaped, a name that nobody gives is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _css() -> str:
    """The style sheet; our own text, so it is not escaped."""
    from markupsafe import Markup

    return Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704 (ships with mlorch)


def page_of(summaries: Sequence[Summary]) -> Page:
    """What the page says of these runs."""
    records = [summary.record for summary in summaries]
    return Page(
        title=_title(records),
        first=records[0],
        notes=_once(record.note for record in records),
        columns=_COLUMNS,
        right=RIGHT,
        tests=[_test(summary) for summary in summaries],
        not_valid=sum(not summary.good for summary in summaries),
        benchmarks=_distinct(records, lambda record: record.benchmark),
        images=_each_once(record.image for record in records),
        machines=_machines(records),
        containers=_each_once(limits(record.container) for record in records),
        insides=_each_once(facts(record.container_facts) for record in records if record.container_facts),
        commands=_commands(records),
        loadgen_versions=_once(summary.loadgen.loadgen_version for summary in summaries if summary.loadgen),
    )


def _title(records: Sequence[RunRecord]) -> str:
    names = _once(record.benchmark for record in records)
    targets = _once(record.target for record in records)
    return f"{', '.join(names)} on {', '.join(targets)}"


def _commands(records: Sequence[RunRecord]) -> list[str]:
    """The command lines that made these results, and the ones that check them."""
    made = _once(shlex.join(record.command_line) for record in records)
    return [*made, *(f"mlorch results verify {record.run_id}" for record in records)]


def _machines(records: Sequence[RunRecord]) -> list[Machine]:
    """Each host once, with the engine of its first run."""
    firsts = _distinct(records, lambda record: record.host)
    return [Machine(host=facts(record.host), engine=facts(record.engine)) for record in firsts]


def _once(texts: Iterable[str]) -> list[str]:
    """The texts that are not empty, each once."""
    return list(dict.fromkeys(text for text in texts if text))


def _each_once(values: Iterable[T]) -> list[T]:
    """The different ones, in their order; they need not be hashable."""
    found: list[T] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _distinct(records: Sequence[RunRecord], key: Callable[[RunRecord], object]) -> list[RunRecord]:
    """The first record of each group with an equal ``key``."""
    keys = [key(record) for record in records]
    return [record for at, record in enumerate(records) if keys[at] not in keys[:at]]


# -- one run -------------------------------------------------------------------------------


def _test(summary: Summary) -> Test:
    record, result = summary.record, summary.loadgen
    latency_ns = result.latency_ns if result is not None else {}
    counted = histogram.read(summary.folder) if latency_ns else None
    return Test(
        summary=summary,
        kind=_kind(summary),
        cells=row(summary, marks=False),
        headline=_headline(summary),
        reasons=_reasons(summary),
        figures=_figures(summary),
        errors=max(result.num_errors, len(result.errors)) if result is not None else 0,
        latencies={name: nanoseconds(value) for name, value in latency_ns.items()},
        caption=_caption(result, counted) if result is not None else "",
        charts=_charts(result, counted) if result is not None else {},
        settings=[(name, setting_text(one.value), one.source) for name, one in record.settings.items()],
    )


def _kind(summary: Summary) -> str:
    if summary.good:
        return "good"
    return "wait" if summary.record.status == "running" else "bad"


def _headline(summary: Summary) -> Headline | None:
    result, accuracy = summary.loadgen, summary.accuracy
    if result is not None and result.result is not None:
        value, _, unit = metric_text(result.result).rpartition(" ")
        return Headline(value=value, unit=unit, title=result.result.title)
    if accuracy is not None:
        value, unit = percent(accuracy.value).split(" ")
        return Headline(value=value, unit=unit, title=f"{accuracy.name} over {accuracy.samples:,} samples")
    return None


def _reasons(summary: Summary) -> tuple[str, ...]:
    """Why it does not count, and what to do."""
    error = summary.record.error
    if not summary.reasons or error is None or not error.hint:
        return summary.reasons
    return (*summary.reasons, error.hint)


def _figures(summary: Summary) -> list[tuple[str, str]]:
    record, result, accuracy = summary.record, summary.loadgen, summary.accuracy
    rows: list[tuple[str, str]] = []
    if result is not None:
        rows += [(metric.title, metric_text(metric)) for metric in result.metrics[1:]]
        if result.query_count:
            rows += [("Queries", f"{result.query_count:,}"), ("Samples", f"{result.sample_count:,}")]
        rows += _effective(result)
    if accuracy is not None and accuracy.minimum is not None:
        rows.append(("Accuracy to reach", percent(accuracy.minimum)))
    if record.ended is not None:
        rows.append(("Took, with start-up", f"{(record.ended.unix_ns - record.started.unix_ns) / 1e9:.1f} s"))
    return rows


def _effective(result: LoadGenResult) -> list[tuple[str, str]]:
    """What LoadGen was asked for: the duration, and the rate where the scenario has one."""
    if result.mode != "performance":
        return []
    rows = []
    duration, rate = result.effective.get("min_duration_ms"), result.effective.get("target_qps")
    if isinstance(duration, int | float):
        rows.append(("Minimum duration", f"{duration / 1000:g} s"))
    scenario = SCENARIOS.get(result.scenario)
    if isinstance(rate, int | float) and scenario is not None and scenario.has_rate:
        rows.append((scenario.rate_title, text(rate, "samples/s")))
    return rows


def _caption(result: LoadGenResult, counted: histogram.Histogram | None) -> str:
    scenario = SCENARIOS.get(result.scenario)
    caption = f"Latency {scenario.latency_of if scenario else ''}; log scale. "
    if counted is None:
        return caption + "Line: minimum to maximum; box: median to 90th percentile, light to 99th. All from LoadGen."
    caption += f"Bars: counted by the harness, from issue to answer, over {counted.samples:,} {counted.of_words}. "
    return caption + "Marks: LoadGen's percentiles."


def _charts(result: LoadGenResult, counted: histogram.Histogram | None) -> dict[str, Chart]:
    scenario, limit = SCENARIOS.get(result.scenario), result.effective.get("target_latency_ns")
    limit_ns = None
    if scenario is not None and scenario.has_latency_limit and isinstance(limit, int | float) and limit > 0:
        limit_ns = float(limit)
    charts = {}
    for css, width in _WIDTHS.items():
        chart = latency_chart(result.latency_ns, counted, width=width, limit_ns=limit_ns)
        if chart is not None:
            charts[css] = chart
    return charts
