"""`report.html`: runs as one self-contained page, without script, network or fonts.

Readable in light, dark and print, on a phone and by a screen reader. Every value
that comes from a recipe, a container or a command line is escaped (`page`).
"""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from orchestrator.results import charts, histogram
from orchestrator.results.page import (
    Html,
    badge,
    cards,
    facts,
    hashed,
    join,
    numbers,
    pairs,
    spans,
    table,
    tag,
)
from orchestrator.results.summary import COLUMNS, RIGHT, metric_text, nanoseconds, number, percent, row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orchestrator.facts.record import AssetId, ContainerRun, RunRecord
    from orchestrator.results.loadgen import LoadGenResult
    from orchestrator.results.summary import Summary

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>$title</title>
<style>
$css</style>
</head>
<body>
$body
</body>
</html>
""")

_OF = {
    "SingleStream": "per query, one sample each",
    "MultiStream": "per query",
    "Server": "per sample, from its scheduled arrival",
    "Offline": "from the issue of the one query until a sample completed",
}


def render(summaries: Sequence[Summary]) -> str:
    """The page for these runs, in their order; at least one."""
    title = _title(summaries)
    body = join(
        [
            _header(title, summaries),
            _overview(summaries) if len(summaries) > 1 else Html(""),
            *(_run(summary, alone=len(summaries) == 1) for summary in summaries),
            _workloads(summaries),
            _images(summaries),
            _machine(summaries),
            _repeat(summaries),
            _footer(summaries),
        ],
        "\n",
    )
    from html import escape

    return _PAGE.substitute(title=escape(title), css=_css(), body=body)


@cache
def _css() -> str:
    return Path(__file__).with_name("report.css").read_text(encoding="utf-8")


def _title(summaries: Sequence[Summary]) -> str:
    names = list(dict.fromkeys(summary.record.benchmark for summary in summaries))
    targets = list(dict.fromkeys(summary.record.target for summary in summaries))
    return f"{', '.join(names)} on {', '.join(targets)}"


def _header(title: str, summaries: Sequence[Summary]) -> Html:
    record = summaries[0].record
    facts_line = f"{record.started.utc} · mlorch {record.mlorch_version}"
    if record.session:
        facts_line += f" · session {record.session}"
    notes = dict.fromkeys(summary.record.note for summary in summaries)
    return tag(
        "header",
        tag("h1", title),
        tag("p", facts_line, css="muted"),
        *(tag("p", note, css="note") for note in notes if note),
    )


def _kind(summary: Summary) -> str:
    if summary.good:
        return "good"
    return "wait" if summary.record.status == "running" else "bad"


def _overview(summaries: Sequence[Summary]) -> Html:
    rows = [_cells(summary) for summary in summaries]
    bad = sum(not summary.good for summary in summaries)
    words = f"{len(summaries)} tests, {bad} of them not valid" if bad else f"{len(summaries)} tests, all valid"
    columns = [{"p50": "p50 latency", "p90": "p90", "p99": "p99"}.get(name, name) for name in COLUMNS]
    return join([tag("h2", "Results"), tag("p", words, css="muted"), cards(columns, rows, right=RIGHT)])


def _cells(summary: Summary) -> tuple[object, ...]:
    cells = row(summary, marks=False)
    names = (tag("span", cell, css="keep") for cell in cells[:3])
    return (*names, *cells[3:-1], badge(summary.verdict, _kind(summary)))


# -- one run -------------------------------------------------------------------------------


def _run(summary: Summary, *, alone: bool) -> Html:
    record, result = summary.record, summary.loadgen
    what = join([f"{record.benchmark}, {record.scenario}, {record.mode}"])
    parts = [
        tag("h2", tag("span", what), badge(summary.verdict, _kind(summary))),
        tag("p", hashed(record.run_id), css="muted"),
        _headline(summary),
        _reasons(summary),
        _figures(summary),
    ]
    if result is not None and result.latency_ns:
        parts += [_distribution(summary, result), _percentiles(result)]
    parts.append(_settings(summary, is_open=alone))
    return tag("article", *parts)


def _headline(summary: Summary) -> Html:
    result, accuracy = summary.loadgen, summary.accuracy
    if result is not None and result.result is not None:
        value, _, unit = metric_text(result.result).rpartition(" ")
        what = result.result.title
    elif accuracy is not None:
        value, unit = percent(accuracy.value).split(" ")
        what = f"{accuracy.name} over {accuracy.samples:,} samples"
    else:
        return tag("p", "no result", css="headline void")
    void = "" if summary.good else " void"
    big = tag("p", value, Html("&#8239;"), tag("span", unit, css="unit"), css=f"headline{void}")
    return join([big, tag("p", what, css="muted")])


def _reasons(summary: Summary) -> Html:
    if not summary.reasons:
        return Html("")
    hint = summary.record.error.hint if summary.record.error else ""
    reasons = [*summary.reasons, *([hint] if hint else [])]
    return tag("ul", *(tag("li", reason) for reason in reasons), css=f"reasons {_kind(summary)}")


def _figures(summary: Summary) -> Html:
    record, result, accuracy = summary.record, summary.loadgen, summary.accuracy
    rows: list[tuple[str, object]] = []
    if result is not None:
        rows += [(metric.title, metric_text(metric)) for metric in result.metrics[1:]]
        if result.query_count:
            rows += [("Queries", f"{result.query_count:,}"), ("Samples", f"{result.sample_count:,}")]
        rows += _effective(result)
    if accuracy is not None and accuracy.minimum is not None:
        rows.append(("Accuracy to reach", percent(accuracy.minimum)))
    if record.ended is not None:
        rows.append(("Took, with start-up", f"{(record.ended.unix_ns - record.started.unix_ns) / 1e9:.1f} s"))
    if result is not None and (result.num_errors or result.errors):
        rows.append(("LoadGen errors", tag("span", max(result.num_errors, len(result.errors)), css="bad")))
    return numbers(rows) if rows else Html("")


def _effective(result: LoadGenResult) -> list[tuple[str, object]]:
    """What LoadGen was told: the duration, and the rate where the scenario has one."""
    rows: list[tuple[str, object]] = []
    if result.mode != "performance":
        return rows
    duration, rate = result.effective.get("min_duration_ms"), result.effective.get("target_qps")
    if isinstance(duration, int | float):
        rows.append(("Minimum duration", f"{duration / 1000:g} s"))
    if isinstance(rate, int | float) and result.scenario in {"Offline", "Server"}:
        name = "Expected rate" if result.scenario == "Offline" else "Target rate"
        rows.append((name, f"{number(rate)} samples/s"))
    return rows


def _distribution(summary: Summary, result: LoadGenResult) -> Html:
    counted = histogram.read(summary.folder)
    limit = result.effective.get("target_latency_ns") if result.scenario == "Server" else None
    limit_ns = float(limit) if isinstance(limit, int | float) and limit > 0 else None
    caption = f"Latency {_OF.get(result.scenario, '')}; log scale. "
    if counted:
        caption += f"Bars: counted by the harness, from issue to answer, over {counted.samples:,} {counted.of_words}. "
        caption += "Marks: LoadGen's percentiles."
    else:
        caption += "Line: minimum to maximum; box: median to 90th percentile, light to 99th. All from LoadGen."
    pictures = [
        charts.latency_chart(result.latency_ns, counted, width=width, limit_ns=limit_ns).replace(
            "<svg ", f'<svg class="{css}" ', 1
        )
        for width, css in ((860, "wide"), (340, "narrow"))
    ]
    return tag("figure", tag("figcaption", caption), *(Html(picture) for picture in pictures))


def _percentiles(result: LoadGenResult) -> Html:
    names = list(result.latency_ns)
    cells = [nanoseconds(result.latency_ns[name]) for name in names]
    return cards(names, [cells], right=range(len(names)))


def _settings(summary: Summary, *, is_open: bool) -> Html:
    settings = summary.record.settings
    if not settings:
        return Html("")
    rows = [(name, _value(setting.value), setting.source) for name, setting in settings.items()]
    whole = table(("setting", "value", "from"), rows, right=(1,))
    opened = " open" if is_open else ""
    return Html(f"<details{opened}><summary>Settings and where they came from</summary>{whole}</details>")


def _value(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}"
    return str(value)


# -- what the runs share -------------------------------------------------------------------


def _distinct(records: Iterable[RunRecord], key: Callable[[RunRecord], object]) -> list[RunRecord]:
    """The first record of each group with an equal ``key``."""
    found: list[tuple[object, RunRecord]] = []
    for record in records:
        mine = key(record)
        if all(mine != known for known, _ in found):
            found.append((mine, record))
    return [record for _, record in found]


def _workloads(summaries: Sequence[Summary]) -> Html:
    parts = [tag("h2", "What was measured")]
    for record in _distinct((s.record for s in summaries), lambda r: r.benchmark):
        rows: list[tuple[str, object]] = [("benchmark", record.benchmark_title or record.benchmark)]
        if record.stands_for:
            rows.append(("stands for", record.stands_for))
        recipe = record.recipe
        rows.append(("recipe", join([f"{recipe.origin} · sha256 ", hashed(recipe.sha256)])))
        rows += [(asset.kind, _asset(asset)) for asset in (record.model, record.dataset) if asset is not None]
        parts += [tag("h3", record.benchmark), pairs(rows)]
    return join(parts)


def _asset(asset: AssetId) -> Html:
    lines: list[Html] = [tag("div", asset.title or asset.name)]
    if asset.trained_by:
        lines.append(tag("div", f"trained by {asset.trained_by}"))
    for licence in asset.licences:
        note = f", {licence.note}" if licence.note else ""
        lines.append(tag("div", f"{licence.source}: {licence.spdx}{note}"))
    lines += [tag("div", f"{name} · sha256 ", hashed(sha256), css="muted") for name, sha256 in asset.files.items()]
    return join(lines)


def _images(summaries: Sequence[Summary]) -> Html:
    parts = [tag("h2", "Images")]
    for record in _distinct((s.record for s in summaries), lambda r: r.image):
        image = record.image
        rows: list[tuple[str, object]] = [
            ("image", hashed(image.reference)),
            ("digest", hashed(image.digest or "not in a registry or containerd store")),
            ("engine's id", hashed(image.image_id)),
        ]
        parts.append(pairs(rows))
        if image.layers:
            layers = [(layer.level, layer.name, hashed(layer.content_id)) for layer in image.layers]
            parts.append(table(("level", "layer", "content id"), layers))
    return join(parts)


def _machine(summaries: Sequence[Summary]) -> Html:
    records = [summary.record for summary in summaries]
    parts = [tag("h2", "Host")]
    for record in _distinct(records, lambda r: r.host):
        parts.append(pairs(facts(record.host)) if record.host else tag("p", "not recorded", css="muted"))
        if record.engine:
            parts += [tag("h3", "Engine"), pairs(facts(record.engine))]
    parts.append(tag("h2", "Container"))
    for record in _distinct(records, lambda r: _limits(r.container)):
        parts.append(pairs(_limits(record.container)))
    seen = [record for record in records if record.container_facts]
    for record in _distinct(seen, lambda r: r.container_facts):
        parts += [tag("h3", "As seen from inside"), pairs(facts(record.container_facts))]
    return join(parts)


def _limits(container: ContainerRun) -> list[tuple[str, object]]:
    """What the container was given, without what differs from run to run."""
    memory = "not limited" if container.memory is None else f"{container.memory / (1 << 30):.2f} GiB"
    given = {
        "capabilities": ", ".join(container.capabilities) or "none",
        "devices": container.given_devices,
        "processors": spans(container.cpus) if container.cpus else "all",
        "memory": memory,
        "user": container.user,
        "network": container.network,
        "root file system": "read-only" if container.read_only else "writable",
        "limits": ", ".join(f"{k} {'/'.join(map(str, v))}" for k, v in container.ulimits.items()) or "the engine's",
    }
    mounts = ", ".join(f"{m.target} {'ro' if m.read_only else 'rw'}" for m in container.mounts)
    return [*given.items(), *([("mounts", mounts)] if mounts else [])]


def _repeat(summaries: Sequence[Summary]) -> Html:
    lines = dict.fromkeys(shlex.join(summary.record.command_line) for summary in summaries)
    checks = [f"mlorch results verify {summary.record.run_id}" for summary in summaries]
    return join(
        [
            tag("h2", "Repeat and verify"),
            tag("p", "The command line that made these results, and the ones that check them:", css="muted"),
            tag("pre", tag("code", "\n".join([*filter(None, lines), *checks]))),
        ]
    )


def _footer(summaries: Sequence[Summary]) -> Html:
    versions = dict.fromkeys(s.loadgen.loadgen_version for s in summaries if s.loadgen and s.loadgen.loadgen_version)
    loadgen = f" LoadGen {', '.join(versions)}." if versions else ""
    words = f"Made by mlorch {summaries[0].record.mlorch_version} from LoadGen's own files.{loadgen}"
    notes = dict.fromkeys(summary.record.note for summary in summaries if summary.record.note)
    return tag("footer", tag("p", words), *(tag("p", note) for note in notes))
