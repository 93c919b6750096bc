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

from orchestrator.facts.metrics import METRICS, nanoseconds, percent, text
from orchestrator.facts.processors import cpu_list
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.results import histogram, timeline
from orchestrator.results.charts import latency_chart
from orchestrator.results.power_text import informal_rows, power_rows
from orchestrator.results.report_examples import shown
from orchestrator.results.summary import (
    accuracy_text,
    compliance_rows,
    disturbance_rows,
    goal_text,
    interval_text,
    metric_text,
    reserved_text,
    table,
)
from orchestrator.results.time_chart import latency_time_chart, rate_chart
from orchestrator.results.tokens import COLUMNS as TOKEN_COLUMNS
from orchestrator.results.tokens import token_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from jinja2 import Environment

    from orchestrator.facts.record import ContainerRun, RunRecord
    from orchestrator.facts.scenarios import Scenario
    from orchestrator.results.charts import Chart
    from orchestrator.results.loadgen import LoadGenResult
    from orchestrator.results.report_examples import Shown
    from orchestrator.results.summary import Summary
    from orchestrator.results.time_chart import TimeChart
    from orchestrator.results.timeline import Timeline
    from orchestrator.results.tokens import TokenRow

T = TypeVar("T")
_TEMPLATES = Path(__file__).with_name("templates")
_WIDTHS = {"wide": 860, "narrow": 340}
"""A picture for a screen and one for a phone; the style sheet shows one of them."""
MIB, GIB = 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedTest:
    """One run with its pictures; ``kind`` is good, bad or wait, ``cells`` its row in the table of all."""

    summary: Summary
    kind: str
    cells: tuple[str, ...]
    scenario: Scenario | None
    counted: histogram.Histogram | None
    charts: Mapping[str, Chart]
    timeline: Timeline | None
    time_charts: Mapping[str, TimeChart]
    tokens: tuple[TokenRow, ...]
    examples: Shown | None


def render(summaries: Sequence[Summary]) -> str:
    """The page for these runs, in their order; at least one. What several tests share stands once, in its order."""
    records = [summary.record for summary in summaries]
    page = templates().get_template("report.html.j2")
    overview = table(summaries, marks=False)
    return page.render(
        css=style_sheet(),
        title=_title(records),
        first=records[0],
        notes=_once(record.note for record in records),
        columns=["p50 latency" if name == "p50" else name for name in overview.columns],
        right=overview.right,
        token_columns=TOKEN_COLUMNS,
        tests=[_test(summary, cells) for summary, cells in zip(summaries, overview.rows, strict=True)],
        not_valid=sum(not summary.good for summary in summaries),
        benchmarks=_each_once(records, lambda record: record.benchmark),
        images=_each_once(record.image for record in records),
        hosts=_each_once(records, lambda record: record.host),
        containers=_each_once(limits(record.container) for record in records),
        insides=_each_once(facts(record.container_facts) for record in records if record.container_facts),
        made_by=_once(shlex.join(record.command_line) for record in records),
        loadgen_versions=_once(summary.loadgen.loadgen_version for summary in summaries if summary.loadgen),
    )


@cache
def templates() -> Environment:
    """The templates of reports: every value is escaped, a name that nobody gives is an error."""
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = (
        *(accuracy_text, compliance_rows, disturbance_rows, facts, goal_text, interval_text, metric_text),
        *(nanoseconds, percent, informal_rows, power_rows, reserved_text, setting_text, text),
    )
    found.filters.update({each.__name__: each for each in words})
    return found


def warm() -> None:
    """Compile what a page is made of: that takes longer than making one."""
    for name in (
        "_parts.html.j2",
        "_test.html.j2",
        "_examples.html.j2",
        "chart.svg.j2",
        "time.svg.j2",
        "report.html.j2",
    ):
        templates().get_template(name)


@cache
def style_sheet() -> str:
    """The style sheet of every page; our own text, so it is not escaped."""
    from markupsafe import Markup

    return Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704 (ships with mlorch)


def _title(records: Sequence[RunRecord]) -> str:
    names = _once(record.benchmark for record in records)
    targets = _once(record.target for record in records)
    return f"{', '.join(names)} on {', '.join(targets)}"


def _once(texts: Iterable[str]) -> list[str]:
    """The texts that are not empty, each once."""
    return _each_once(text for text in texts if text)


def _each_once(values: Iterable[T], key: Callable[[T], object] = lambda value: value) -> list[T]:
    """The first of those with an equal ``key``, in their order; keys need not be hashable."""
    found: list[T] = []
    keys: list[object] = []
    for value in values:
        if key(value) not in keys:
            keys.append(key(value))
            found.append(value)
    return found


# -- one run -------------------------------------------------------------------------------


def _test(summary: Summary, cells: tuple[str, ...]) -> ReportedTest:
    result = summary.loadgen
    has_latencies = result is not None and bool(result.latency_ns)
    counted = histogram.read(summary.folder) if has_latencies else None
    over_time = timeline.read(summary.folder) if has_latencies else None
    return ReportedTest(
        summary=summary,
        kind=_kind(summary),
        cells=cells,
        scenario=SCENARIOS.get(summary.record.scenario),
        counted=counted,
        charts=_charts(result, counted) if result is not None else {},
        timeline=over_time,
        time_charts=_time_charts(summary.record.scenario, over_time) if over_time is not None else {},
        tokens=token_rows(summary),
        examples=shown(summary),
    )


def _kind(summary: Summary) -> str:
    if summary.good:
        return "good"
    return "wait" if summary.record.status == "running" else "bad"


def _charts(result: LoadGenResult, counted: histogram.Histogram | None) -> dict[str, Chart]:
    scenario, limit = SCENARIOS.get(result.scenario), result.effective.get("target_latency_ns")
    if any(METRICS[one.name].unit == "tokens/s" for one in result.metrics if one.name in METRICS):
        limit = None  # LoadGen held the test to other limits: of the first token and of the later ones
    limit_ns = None
    if scenario is not None and scenario.has_latency_limit and isinstance(limit, int | float) and limit > 0:
        limit_ns = float(limit)
    charts = {}
    for css, width in _WIDTHS.items():
        chart = latency_chart(result.latency_ns, counted, width=width, limit_ns=limit_ns)
        if chart is not None:
            charts[css] = chart
    return charts


def _time_charts(scenario: str, over_time: Timeline) -> dict[str, TimeChart]:
    """In Offline all samples are asked at once: how fast they are answered is what may drift there."""
    draw = rate_chart if scenario == "Offline" else latency_time_chart
    return {css: draw(over_time, width=width) for css, width in _WIDTHS.items()}


# -- facts in words --------------------------------------------------------------------------


def facts(document: Mapping[str, object]) -> list[tuple[str, str]]:
    """A JSON object of observed facts as names and values in words; empty ones are left out."""
    rows = []
    for key, value in document.items():
        text = _fact(key, value)
        if text:
            rows.append((key.replace("_", " "), text))
    return rows


def _fact(key: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and ("memory" in key or key in {"shm", "swap_total"}):
        return f"{value / GIB:.1f} GiB" if value >= GIB // 10 else f"{value / MIB:.1f} MiB"
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name, item in value.items() if (text := _fact(str(name), item)))
    if isinstance(value, list | tuple):
        return _list(key, value)
    return str(value)


def _list(key: str, value: Sequence[object]) -> str:
    numbers = [item for item in value if isinstance(item, int) and not isinstance(item, bool)]
    if value and len(numbers) == len(value) and key != "limits":
        return spans(numbers)
    return ", ".join(text for item in value if (text := _fact("", item)))


def spans(numbers: Sequence[int]) -> str:
    """Processor numbers in the kernel's list form: ``0-3, 8``."""
    ordered = sorted(set(numbers))
    if list(numbers) != ordered:
        return ", ".join(map(str, numbers))
    return cpu_list(ordered).replace(",", ", ")


def limits(container: ContainerRun) -> list[tuple[str, str]]:
    """What a container was given, without what differs from run to run."""
    ulimits = [f"{name} {'/'.join(map(str, value))}" for name, value in container.ulimits.items()]
    mounts = [f"{mount.target} {'ro' if mount.read_only else 'rw'}" for mount in container.mounts]
    rows = [
        ("capabilities", ", ".join(container.capabilities) or "none"),
        ("devices", container.given_devices),
        ("processors", spans(container.cpus) if container.cpus else "all"),
        ("memory", "not limited" if container.memory is None else f"{container.memory / GIB:.2f} GiB"),
        ("user", container.user),
        ("network", container.network),
        ("root file system", "read-only" if container.read_only else "writable"),
        ("limits", ", ".join(ulimits) or "the engine's"),
    ]
    if mounts:
        rows.append(("mounts", ", ".join(mounts)))
    return rows


def setting_text(value: object) -> str:
    """The value of a setting: ``–`` for none, numbers with a comma a thousand."""
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(setting_text(item) for item in value)
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
