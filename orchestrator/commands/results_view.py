"""How `mlorch results` lays out runs for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.commands.common import counted, disturbed_text, shortened
from orchestrator.errors import Problem
from orchestrator.facts.measured import GOOD_VERDICTS
from orchestrator.facts.metrics import nanoseconds, text
from orchestrator.results.power_text import informal_rows, power_rows
from orchestrator.results.summary import (
    accuracy_text,
    ceiling_text,
    coloured,
    compliance_rows,
    disturbance_rows,
    goal_text,
    interval_text,
    metric_text,
    reserved_text,
)
from orchestrator.results.tokens import token_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.console import Console
    from orchestrator.facts.measured import LoadGenResult
    from orchestrator.facts.record import RunRecord
    from orchestrator.operations.results import Listing, RunDocument
    from orchestrator.results.compare import Comparison
    from orchestrator.results.summary import Summary
    from orchestrator.results.verify.verification import Verification


def show_listing(console: Console, listing: Listing) -> None:
    """A row a run: what it came to."""
    if not listing.total:
        console.say(listing.why_none)
        return
    rows = [_list_row(one) for one in listing.results]
    console.table(("run", "target", "result", "verdict"), rows, right=(2,), drop=(1,))
    for one in listing.results:
        if one["status"] == "unreadable":
            tell = console.say if one["verdict"] == "BY HAND" else console.warn
            tell(one["reasons"][0])


def _list_row(one: RunDocument) -> tuple[str, ...]:
    verdict = coloured(one["verdict"], good=one["verdict"] in GOOD_VERDICTS, running=one["status"] == "running")
    if one.get("disturbed"):
        verdict += ", disturbed"
    return (one["run_id"], one["target"] or "–", _outcome(one["metrics"]), verdict)


def _outcome(metrics: Mapping[str, object]) -> str:
    """What was measured: the scenario's result, or the accuracy."""
    result, accuracy = metrics.get("result"), metrics.get("accuracy")
    if isinstance(result, dict):
        return text(result["value"], result["unit"])
    if isinstance(accuracy, dict):
        return f"{text(accuracy['value'], accuracy['unit'])} of {accuracy['samples']:,}"
    return "–"


def show_verification(console: Console, verified: Sequence[Verification]) -> None:
    """A line a run, a line each fault, and what it proves that there is none."""
    from orchestrator.results.verify.verification import SIGNED, UNSIGNED

    for one in verified:
        word = "ok" if one.ok else counted(len(one.faults), "fault")
        console.result(f"{one.run_id}: {word}: {', '.join(one.checked)}")
        for fault in one.faults:
            console.result(f"  {one.folder / fault.file}: {fault.message}")
    if any(one.ok for one in verified):
        with_key = any(one.signed is not None for one in verified)  # then none is ok without its signature
        console.say(f"ok: {SIGNED if with_key else UNSIGNED}")


def show_summary(console: Console, summary: Summary) -> None:
    """Verdict first, then numbers with units, then what they were measured with."""
    record = summary.record
    rows = [("verdict", summary.verdict), *(("why", reason) for reason in summary.reasons)]
    rows += [("disturbed", reason) for reason in summary.disturbed]
    rows += [*_reported(summary.loadgen), *_accuracies(summary), *_roles(summary), *_origin(summary)]
    rows += power_rows(record.power) if record.power is not None else []
    rows += informal_rows(record.informal_power) if record.informal_power is not None else []
    rows += [*_processors(record), *_latencies(summary)]
    rows += [(name, f"{_value(one.value)} ({one.source})") for name, one in record.settings.items()]
    console.result(record.run_id)
    console.facts(rows)
    console.result(record.note)


def _accuracies(summary: Summary) -> list[tuple[str, str]]:
    rows = []
    for one in summary.accuracies:
        rows.append((one.name, f"{accuracy_text(one)} of {one.samples:,} samples{_in_brackets(goal_text(one))}"))
        if one.interval is not None:
            rows.append((f"{one.name}, 95 % interval", interval_text(one)))
    return rows


def _processors(record: RunRecord) -> list[tuple[str, str]]:
    """Which processors were reserved, and what else ran on them."""
    rows = []
    if record.reservation is not None:
        rows.append(("processors reserved", reserved_text(record.reservation)))
    if record.disturbance is not None:
        rows += [(f"processors: {name}", value) for name, value in disturbance_rows(record.disturbance)]
    return rows


def _latencies(summary: Summary) -> list[tuple[str, str]]:
    """Of queries or samples, and of a language model those of its tokens beside their limits."""
    latencies = summary.loadgen.latency_ns if summary.loadgen is not None else {}
    rows = [(f"latency {name}", nanoseconds(value)) for name, value in latencies.items()]
    for token in token_rows(summary):
        rows += [(f"{token.title.lower()} {name}", nanoseconds(value)) for name, value in token.values.items()]
        if token.limit_ns is not None:
            rows.append((f"{token.title.lower()}, limit", token.limit))
    return rows


def _in_brackets(words: str) -> str:
    return f" ({words})" if words else ""


def _reported(result: LoadGenResult | None) -> list[tuple[str, str]]:
    """What LoadGen reports."""
    if result is None:
        return []
    labels = ["result", *["also measured"] * len(result.metrics)]
    rows = [(label, f"{metric_text(one)}, {one.title}") for label, one in zip(labels, result.metrics, strict=False)]
    if result.query_count:
        rows.append(("queries", f"{result.query_count:,} of {result.samples_per_query:,} samples"))
    rows += [("early stopping", point) for point in result.early_stopping]
    rows += [("LoadGen warning", warning) for warning in result.warnings]
    return rows


def _roles(summary: Summary) -> list[tuple[str, str]]:
    """The servers of a run of several containers, what their client could do, and what does not run as planned."""
    record = summary.record
    ceiling = ceiling_text(summary.measured) if summary.measured is not None else ""
    rows = [("client's ceiling", ceiling)] if ceiling else []
    for one in record.roles:
        ready = "never ready" if one.ready_s is None else f"ready after {one.ready_s:.1f} s"
        cpus = one.container.cpus if one.container is not None else ()
        ended = "" if one.exit_code is None else f", ended with {one.exit_code}"
        if one.started_by:
            ready += f" in {one.started_by}"
        where = f" on processors {', '.join(map(str, cpus))}" if cpus else ""
        rows.append((f"role {one.name}", f"{one.image}{where}, {ready}{ended}"))
    seen = [("client" if record.roles else "container", record.container.deployed)]
    seen += [(one.name, one.deployed) for one in record.roles]
    rows += [(f"{name} differs", text) for name, found in seen if found is not None for text in found.differences]
    return rows


def _origin(summary: Summary) -> list[tuple[str, str]]:
    record = summary.record
    rows = [
        ("benchmark", f"{record.benchmark} on {record.target}, {record.scenario}, {record.test_name}"),
        ("started", record.started.utc),
    ]
    if record.compliance is not None:
        rows += compliance_rows(record.compliance)
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


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    return "–" if value is None else str(value)


# -- compared ----------------------------------------------------------------------------------

_SHOWN = 12
"""Differences shown for a test; --json has all."""
_COLUMNS = ("test", "figure", "was", "is", "change", "verdict")
_COLOURS = {"better": "green", "same": "green", "worse": "bold red", "not comparable": "bold red"}


def show_comparisons(console: Console, comparisons: Sequence[Comparison], allowed: float) -> None:
    """A row for each figure, what differed in what ran, and each regression as a problem."""
    from orchestrator.ci.markers import markdown_table

    rows = [row for one in comparisons for row in _rows(one)]
    title = f"{comparisons[0].was.record.started.utc} against {comparisons[0].now.record.started.utc}"
    coloured_rows = [(*row[:-1], f"[{_COLOURS.get(row[-1], 'dim')}]{row[-1]}[/]") for row in rows]
    console.table(_COLUMNS, coloured_rows, title=title, right=(2, 3, 4))
    note = f"tolerance {allowed * 100:g} %; a verdict in brackets decides nothing"
    console.result(note)
    console.summary(markdown_table(f"mlorch: {title}", _COLUMNS, rows, right=(2, 3, 4), note=note))
    for one in comparisons:
        _differences(console, one)
    for when, runs in (("before", [one.was for one in comparisons]), ("now", [one.now for one in comparisons])):
        tests = zip(map(_test, comparisons), runs, strict=True)
        if disturbed := [(test, run.disturbed) for test, run in tests if run.disturbed]:
            console.warn(f"{when}: {disturbed_text(disturbed)}")
    for one in comparisons:
        if one.regressed:
            console.problem(_regression(one))


def _regression(one: Comparison) -> Problem:
    """A test whose figure got worse, or that has no result any more."""
    hint = "what differed stands above; `mlorch results show` has each run whole"
    slug = "regression" if one.verdict == "worse" else "no-result"
    return Problem(slug=slug, message=f"{_test(one)}: {one.reason}", hint=hint)


def _test(one: Comparison) -> str:
    record = one.now.record
    return f"{record.benchmark} {record.scenario} {record.test_name}"


def _rows(one: Comparison) -> list[tuple[str, ...]]:
    if not one.figures:
        return [(_test(one), "verdict", one.was.verdict, one.now.verdict, "–", one.verdict)]
    return [
        (
            _test(one) if index == 0 else "",
            figure.name,
            text(figure.was, figure.unit),
            text(figure.now, figure.unit),
            "–" if figure.change is None else f"{figure.change:+.2f} {'points' if figure.unit == '%' else '%'}",
            figure.verdict if figure.decides else f"({figure.verdict})",
        )
        for index, figure in enumerate(one.figures)
    ]


def _differences(console: Console, one: Comparison) -> None:
    """What differed in what ran, the image and the data first."""
    if not one.differences:
        console.say(f"{_test(one)}: image, data, settings and host are the same", style="dim")
        return
    console.say(f"{_test(one)}: {counted(len(one.differences), 'difference')} in what ran")
    for each in one.differences[:_SHOWN]:
        console.say(f"  {each.what}: {shortened(each.was)} -> {shortened(each.now)}")
    if len(one.differences) > _SHOWN:
        console.say(f"  … and {len(one.differences) - _SHOWN} more; --json has all")
    if any(each.what.startswith(("model ", "dataset ")) for each in one.differences):
        console.warn(f"{_test(one)}: the model or the data differ, so this is another piece of work")
