"""One run as a person and a program want it: verdict, accuracy, result, latencies; with units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.facts.codec import to_plain
from orchestrator.facts.containers import RECORD
from orchestrator.facts.measured import GOOD_VERDICTS, NEAR
from orchestrator.facts.metrics import LATENCIES, nanoseconds, percent, text
from orchestrator.facts.processors import cpu_list
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.host.clock import moment
from orchestrator.results.measure import error_reasons, measured_of
from orchestrator.results.power_text import power_cell

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.facts.compliance import ComplianceFact
    from orchestrator.facts.measured import Accuracy, LoadGenResult, Measured, Metric
    from orchestrator.facts.processors import Disturbance, Reservation
    from orchestrator.facts.record import RunRecord
    from orchestrator.results.store import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A record with what was measured; None where nobody saw the run end."""

    record: RunRecord
    folder: Path
    measured: Measured | None = None
    unsigned: str = ""
    """Why its record is not signed though the run was to sign it."""

    @property
    def loadgen(self) -> LoadGenResult | None:
        return self.measured.loadgen if self.measured else None

    @property
    def accuracy(self) -> Accuracy | None:
        return self.measured.accuracy if self.measured else None

    @property
    def accuracies(self) -> tuple[Accuracy, ...]:
        return self.measured.accuracies if self.measured else ()

    @property
    def verdict(self) -> str:
        """One word: VALID, INVALID, PASSED or FAILED (accuracy against its goal), or the status.

        CHANGED where the parts of the record disagree: then one was edited afterwards.
        """
        if self.record.status == "failed" and self.record.valid is False:
            return "INVALID"  # a part of it ended too early: there is a verdict, and no result
        if self.record.status != "done":
            return self.record.status.upper()
        if self.measured is None:
            return "NO RESULT"
        loadgen = self.loadgen
        judged = None if loadgen is None or self.record.loadgen_mode != "performance" else loadgen
        if judged is not None and self.record.counted(judged) != self.record.valid:
            # Before mlorch looked at LoadGen's errors, a record said VALID beside them.
            return "INVALID" if judged.error_count and self.record.valid == judged.valid else "CHANGED"
        return self.measured.verdict

    @property
    def good(self) -> bool:
        """Whether the run ended and its result counts, and its record is signed where that was asked for."""
        return self.verdict in GOOD_VERDICTS and not self.unsigned

    @property
    def rate_source(self) -> str:
        """Where the rate came from at which queries came (`Setting.source`); empty where that is no matter."""
        scenario = SCENARIOS.get(self.record.scenario)
        if scenario is None or not scenario.has_searched_rate or self.record.loadgen_mode != "performance":
            return ""
        rate = self.record.settings.get("loadgen.target_qps")
        return "" if rate is None else rate.source

    @property
    def guessed_rate(self) -> bool:
        """Whether that is a guess, which nobody gave, stored or searched: the figure is the guess then, no limit."""
        return self.rate_source == "calibrated"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not good: the error, LoadGen's reasons and errors, an accuracy below its goal."""
        found = [] if self.record.error is None else [self.record.error.message]
        if self.unsigned:
            found.append(f"its record is not signed: {self.unsigned}")
        if self.verdict == "CHANGED":
            found.append("the record and LoadGen's log disagree; `mlorch results verify` tells what was edited")
        if self.measured is not None:
            found += self.measured.reasons
        if self.loadgen is not None and not self.good:
            found += error_reasons(self.loadgen)
        return tuple(dict.fromkeys(found))

    @property
    def disturbed(self) -> tuple[str, ...]:
        """Why its figures may be others than on a quiet machine; empty where they are not, or nobody knows."""
        return self.record.disturbance.reasons if self.record.disturbance is not None else ()


def ceiling_text(measured: Measured) -> str:
    """What the client itself could do, and how near the result comes to it; empty where nobody measured that."""
    ceiling, share = measured.ceiling, measured.share_of_ceiling
    if ceiling is None:
        return ""
    words = f"{ceiling.requests_per_s:,.0f} requests/s, {ceiling.tokens_per_s:,.0f} tokens/s"
    if (ceiling.processes or 1) > 1:
        words += f" with {ceiling.processes} processes"
    if ceiling.unix_ns:
        words += f" (measured {moment(ceiling.unix_ns).utc})"
    if share is None:
        return words
    near = ": the client may be what was measured, not the server" if share >= NEAR else ""
    return f"{words}; the result is {share:.1%} of it{near}"


def summarise(record: RunRecord, folder: Path) -> Summary:
    """The summary of a run; whatever is missing or broken becomes one of its reasons, never an error."""
    if record.status in {"running", "interrupted"}:
        # LoadGen's files may look whole where nobody saw the run end: half a result is none.
        return Summary(record=record, folder=folder)
    return Summary(record=record, folder=folder, measured=measured_of(record, folder))


def summaries(entries: Sequence[Entry]) -> list[Summary]:
    """The readable ones of ``entries``, in their order."""
    return [summarise(entry.record, entry.folder) for entry in entries if entry.record is not None]


# -- for programs --------------------------------------------------------------------------


def document(summary: Summary) -> dict[str, object]:
    """One element of ``results`` in the JSON of `run` and `results`."""
    record = summary.record
    return {
        "run_id": record.run_id,
        "session": record.session,
        "benchmark": record.benchmark,
        "target": record.target,
        "scenario": record.scenario,
        "mode": record.mode,
        "compliance": None if record.compliance is None else _compliance_document(record.compliance),
        "status": record.status,
        "verdict": summary.verdict,
        "valid": {"VALID": True, "INVALID": False}.get(summary.verdict),
        "reasons": list(summary.reasons),
        "started": record.started.utc,
        "metrics": _metrics(summary),
        "image_digest": record.image.digest or record.image.image_id,
        "record": str(summary.folder / RECORD),
        "note": record.note,
        "changed_rules": list(record.changed_rules),
        "disturbed": None if record.disturbance is None else record.disturbance.disturbed,
        "disturbance": None if record.disturbance is None else to_plain(record.disturbance),
        "power": None if record.power is None else {**to_plain(record.power), "passed": record.power.passed},
        "informal_power": None if record.informal_power is None else to_plain(record.informal_power),
        "reservation": None if record.reservation is None else to_plain(record.reservation),
    }


def _compliance_document(fact: ComplianceFact) -> dict[str, object]:
    """Which compliance test it is, who verified it, and what it was compared with."""
    compared = [{"mode": one.mode, "run_id": one.run_id} for one in fact.compared]
    return {"test": fact.test, "round": fact.round, "commit": fact.commit, "compared": compared}


def _metrics(summary: Summary) -> dict[str, object]:
    metrics: dict[str, object] = {"accuracy": None, "result": None, "latency_ns": None}
    accuracy, result = summary.accuracy, summary.loadgen
    if accuracy is not None:
        metrics["accuracy"], *others = [{**to_plain(one), "reached": one.reached} for one in summary.accuracies]
        if others:
            metrics["other_accuracies"] = others
    if result is not None and result.metrics:
        metrics["result"], *metrics["others"] = to_plain(result.metrics)
        metrics["latency_ns"] = dict.fromkeys(LATENCIES) | dict(result.latency_ns)
        if summary.rate_source:
            metrics["rate_source"] = summary.rate_source
        metrics["queries"] = result.query_count
        metrics["samples"] = result.sample_count
    return metrics


# -- for people ----------------------------------------------------------------------------

GUESSED = " (not searched)"
"""Beside a figure whose rate was a guess: the machine may be able to do more."""
COLUMNS = ("benchmark", "scenario", "mode", "result", "p50", "p90", "p99", "accuracy", "verdict")
RIGHT = (3, 4, 5, 6, 7)
"""The columns of numbers; every cell carries its unit."""
POWER = "power"
"""The column before the verdict, where the power of any test of a table was measured."""
DROP = (4, 5, 6, 2)
"""The columns that a narrow terminal does without, the first of them first: the report has them."""
EITHER = (3, 7)
"""A test has a result or an accuracy, which a narrow terminal shows in one column."""


class Table(NamedTuple):
    """A row for each of some tests; ``right`` are the columns of numbers."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    right: tuple[int, ...] = RIGHT


def table(summaries: Sequence[Summary], *, marks: bool = True) -> Table:
    """The table of these tests, with `POWER` where that was measured in any; ``marks`` as in `row`."""
    rows = [row(one, marks=marks) for one in summaries]
    if all(one.record.power is None and one.record.informal_power is None for one in summaries):
        return Table(COLUMNS, rows)
    *names, verdict = COLUMNS
    found = [(*cells[:-1], power_cell(one.record), cells[-1]) for one, cells in zip(summaries, rows, strict=True)]
    return Table((*names, POWER, verdict), found, (*RIGHT, len(names)))


def row(summary: Summary, *, marks: bool = True) -> tuple[str, ...]:
    """The cells of `COLUMNS`; with ``marks`` the verdict carries its colour for `Console.table`."""
    record, result = summary.record, summary.loadgen
    latency = result.latency_ns if result else {}
    headline = metric_text(result.result) if result and result.result else "–"
    if summary.guessed_rate:
        headline += GUESSED
    accuracy = summary.accuracy
    word, disturbed = summary.verdict, ", disturbed" if summary.disturbed else ""
    return (
        record.benchmark,
        record.scenario,
        record.test_name,
        headline,
        *(nanoseconds(latency[name]) if name in latency else "–" for name in ("p50", "p90", "p99")),
        f"{accuracy_text(accuracy)} of {accuracy.samples:,}" if accuracy else "–",
        f"{coloured(word, good=summary.good, running=record.status == 'running') if marks else word}{disturbed}",
    )


def coloured(word: str, *, good: bool, running: bool = False) -> str:
    """``word`` with the colour that says how it ended."""
    colour = "bold red"
    if good:
        colour = "green"
    elif running:
        colour = "yellow"
    return f"[{colour}]{word}[/]"


def accuracy_text(accuracy: Accuracy) -> str:
    """A figure of accuracy in its unit: ``91.06 %``, ``44.43``."""
    return text(accuracy.value, accuracy.unit)


def interval_text(accuracy: Accuracy) -> str:
    """The 95 % interval of a figure, ``76.24 % to 79.45 %``; empty where there is none."""
    if accuracy.interval is None:
        return ""
    low, high = accuracy.interval
    return f"{text(low, accuracy.unit)} to {text(high, accuracy.unit)}"


def disturbance_rows(disturbance: Disturbance) -> list[tuple[str, str]]:
    """What else happened on a test's processors, as names and values in words; what is not known is said."""
    shares = {
        "used by the test": disturbance.own,
        "by other programs": disturbance.others,
        "in the worst second": disturbance.worst_others,
        "other threads of its cores": disturbance.siblings,
        "stolen by the hypervisor": disturbance.steal,
        "stopped by a quota": disturbance.throttled,
        "some task waited for a processor": disturbance.pressure,
    }
    rows = [(name, percent(value)) for name, value in shares.items() if value is not None]
    if disturbance.thermal is not None:
        rows.append(("slowed down for heat", f"{disturbance.thermal:,} times"))
    if disturbance.load:
        rows.append(("load average before and after", ", ".join(f"{value:.2f}" for value in disturbance.load)))
    rows += [
        ("another mlorch meanwhile", f"{one.words()}, on processors {cpu_list(one.cpus)}")
        for one in disturbance.other_runs
    ]
    return [*rows, *(("not known", why) for why in disturbance.unknown)]


def compliance_rows(fact: ComplianceFact) -> list[tuple[str, str]]:
    """Whose script verified a compliance test, and with what it compared it, as names and values."""
    rows = [("verified by", f"MLCommons' script of {fact.round}, mlcommons/inference at {fact.commit[:12]}")]
    return [*rows, *((f"compared with its {one.mode}", one.run_id) for one in fact.compared)]


def reserved_text(reservation: Reservation) -> str:
    """Which processors were kept from other runs, and how long it waited for them."""
    words = [cpu_list(reservation.cpus) or "none"]
    if reservation.waited_s:
        words.append(f"after {reservation.waited_s:.1f} s")
    words += [f"waited for {holder.words()}" for holder in reservation.waited_for]
    return "; ".join((*words, *reservation.unreserved))


def goal_text(accuracy: Accuracy) -> str:
    """What a figure has to reach: ``at least 90.63 %, at most 95.00 %``; empty without a goal."""
    if accuracy.minimum is None:
        return ""
    most = "" if accuracy.maximum is None else f", at most {text(accuracy.maximum, accuracy.unit)}"
    return f"at least {text(accuracy.minimum, accuracy.unit)}{most}"


def metric_text(metric: Metric) -> str:
    """A metric with its unit: ``2,275.1 samples/s``, ``459 µs``."""
    return text(metric.value, metric.unit)
