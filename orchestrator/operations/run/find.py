"""`mlorch run --find`: expectations from a run of each scenario, the highest valid rate of Server and Interactive."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.facts.record import RateSearch, RateTry
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.operations.run.findings import keep
from orchestrator.operations.run.rates import is_spoiled, lacks_rate, measured_rate, rate_from
from orchestrator.runs.rate_search import Search, good, queue_grew, with_margin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.operations.progress import Talk
    from orchestrator.operations.run.benchmarks import PlannedBenchmark
    from orchestrator.operations.run.prepared import PreparedRun
    from orchestrator.plan.run.cells import Cell
    from orchestrator.runs.runner import Outcome

MARGIN = 0.9
"""Of the highest rate that was VALID: with it the next run is VALID nine times in ten (decision 0017)."""

AGAIN = 2
"""How often a test is made again whose figure is to be kept, and which other programs disturbed or errors spoiled."""

GONE = 5
"""So many failed tests in turn: the search halves the step with each, so that a server that was there has answered."""
EXPECTATIONS = ("target_qps", "expected_latency_ns")


def find_all(prepared: PreparedRun, talk: Talk) -> Iterator[Outcome]:
    """Every test that the request asks for; in place of Server's one test, a search and its best test."""
    for planned, cell in prepared.tests():
        if cell.mode == "accuracy":
            yield prepared.run(planned, cell)
        elif SCENARIOS[cell.scenario].has_searched_rate:
            yield _find_rate(prepared, planned, cell, talk)
        else:
            yield _measure(prepared, planned, cell, talk)


def _measure(prepared: PreparedRun, planned: PlannedBenchmark, cell: Cell, talk: Talk) -> Outcome:
    """One test; what it measured becomes the expectation of the next, if it was VALID."""
    layout = tuned_layout(prepared, planned, cell)
    outcome = Repeats().undisturbed(lambda: prepared.run(planned, cell, system=layout))
    found = expectation(outcome, cell.scenario)
    if outcome.record.valid and found:
        _keep(prepared, planned, cell, outcome, found, talk)
    return outcome


@dataclass(slots=True)
class Repeats:
    """How many tests may still be made again because of what else ran, or of errors."""

    left: int = AGAIN

    def undisturbed(self, test: Callable[[], Outcome]) -> Outcome:
        """The outcome of ``test``, which is made again while it says nothing of its rate; the last one counts."""
        outcome = test()
        while (is_disturbed(outcome) or is_spoiled(outcome)) and self.left:
            self.left -= 1
            outcome = test()
        return outcome


def is_disturbed(outcome: Outcome) -> bool:
    """Whether other programs had a test's processors, as far as anybody saw."""
    found = outcome.record.disturbance
    return found is not None and found.disturbed is True


def expectation(outcome: Outcome, scenario: str) -> dict[str, float | int]:
    """What LoadGen should expect next time: samples a second in Offline, nanoseconds a query in the streams."""
    measured = outcome.record.measured
    if outcome.error is not None or measured is None or measured.loadgen is None:
        return {}
    result = measured.loadgen
    if SCENARIOS[scenario].has_rate:
        return {} if result.rate is None else {"target_qps": round(result.rate, 3)}
    mean = result.latency_ns.get("mean")
    return {"expected_latency_ns": int(mean)} if mean else {}


class _Spoiled(Exception):
    """Test after test is INVALID for errors that are not the rate's: nothing is found by going on."""


@dataclass(slots=True)
class _Probes:
    """The tests of a search, all with one layout."""

    prepared: PreparedRun
    planned: PlannedBenchmark
    cell: Cell
    layout: dict[str, float | int | str]
    outcomes: list[Outcome] = field(default_factory=list)

    def test(self, rate: float | None, search: RateSearch | None = None) -> Outcome:
        """One test at ``rate``, None for the rate that the harness looks for; ``search`` is for its record."""
        number = len(self.outcomes) + 1
        searched = {} if rate is None else {"target_qps": rate}
        outcome = self.prepared.run(
            self.planned, self.cell, number=number, search=search, system=self.layout, searched=searched
        )
        self.outcomes.append(outcome)
        return outcome

    def probe(self, rate: float) -> RateTry:
        """The test at ``rate``. One that failed raises, as a search over failures finds nothing.

        A server may break down, or refuse what is too much for it, at a higher rate than one that was VALID: that is
        an answer, unless so many tests in turn fail that it must be gone. Of tests that were spoiled the search makes
        one again, as it may have been chance; two in turn end it, unless a lower rate was VALID.
        """
        outcome = self.test(rate)
        able = any(one.record.valid and (effective_rate(one) or rate) < rate for one in self.outcomes)
        gone = not able or all(one.error is not None for one in self.outcomes[-GONE:])
        if outcome.error is not None and gone:
            raise outcome.error
        if not able and all(map(is_spoiled, self.outcomes[-2:])):
            raise _Spoiled
        return rate_try(outcome, rate)


def _find_rate(prepared: PreparedRun, planned: PlannedBenchmark, cell: Cell, talk: Talk) -> Outcome:
    """The search, begun at what the harness finds itself. Its result is a VALID test at the rate that is stored."""
    probes = _Probes(prepared, planned, cell, tuned_layout(prepared, planned, cell))
    rate = None
    if lacks_rate(prepared, planned, cell):
        measured = measured_rate(prepared, planned)
        rate = rate_from(measured, cell.scenario)
        if rate is None:
            return measured
    first = probes.test(rate)
    start = effective_rate(first)
    if first.error is not None or start is None:
        return first
    if not is_served(prepared, planned):
        probes.layout |= layout(first)
    search, repeats = Search(probes.probe), Repeats()
    try:
        best = search.run(start, first=rate_try(first, start))
    except _Spoiled:
        return _without_rate(probes.outcomes[-1], cell, talk)
    if best is None:
        return probes.outcomes[-1]
    for rate in with_margin(best, MARGIN):
        told = RateSearch(by="find", tries=tuple(search.tries), best=best, margin=rate / best, stopped=search.stopped)
        outcome = repeats.undisturbed(partial(probes.test, rate, told))
        if good(rate_try(outcome, rate)):
            _keep(prepared, planned, cell, outcome, {"target_qps": round(rate, 3)}, talk)
            break
        if is_spoiled(outcome):
            return _without_rate(outcome, cell, talk)
    return probes.outcomes[-1]


def _without_rate(outcome: Outcome, cell: Cell, talk: Talk) -> Outcome:
    """The outcome, told as one that ends a search."""
    measured = outcome.record.measured
    reasons = "; ".join(measured.reasons[:2]) if measured is not None else ""
    talk.warn(
        f"{outcome.record.benchmark} {cell.scenario}: no rate is kept, as the tests were spoiled, which no other rate "
        f"mends: {reasons or 'see the report'} ({outcome.record.run_id})"
    )
    return outcome


def is_served(prepared: PreparedRun, planned: PlannedBenchmark) -> bool:
    """Whether servers answer: they share out their processors themselves, and the harness's layout is nobody's finding.

    Of them `findings.what_ran` says for what a finding holds.
    """
    return bool(prepared.request.endpoint or planned.workload.benchmark.roles)


def tuned_layout(prepared: PreparedRun, planned: PlannedBenchmark, cell: Cell) -> dict[str, float | int | str]:
    """What `mlorch tune` found, without an expectation; what calibration once chose for `--find` is measured anew."""
    tuned = prepared.stored(planned, cell.scenario)
    if tuned is None or tuned.by != "tune":
        return {}
    return {name: value for name, value in tuned.settings.items() if name not in EXPECTATIONS}


def rate_try(outcome: Outcome, rate: float) -> RateTry:
    """What a test at ``rate`` says to a search; LoadGen's own figures, of its arrivals as they came."""
    if is_spoiled(outcome):  # nor is it known what would be answered at this rate
        return RateTry(rate=rate, answered=0.0, valid=False, spoiled=True, run_id=outcome.record.run_id)
    measured = outcome.record.measured
    result = measured.loadgen if measured is not None else None
    figures = {} if result is None else {metric.name: metric.value for metric in result.metrics}
    answered = figures.get("completed_samples_per_second", 0.0)
    scheduled = figures.get("scheduled_samples_per_second") or rate
    queries, least_ns = (0, 0.0) if result is None else (result.query_count, result.latency_ns.get("min", 0))
    return RateTry(
        rate=rate,
        answered=round(answered * rate / scheduled, 3),
        valid=outcome.record.valid is True,
        queue_grew=queue_grew(queries, scheduled, answered, least_ns / 1e9),
        disturbed=is_disturbed(outcome),
        run_id=outcome.record.run_id,
    )


def effective_rate(outcome: Outcome) -> float | None:
    """The rate in queries a second that a test was driven with."""
    setting = outcome.record.settings.get("loadgen.target_qps")
    value = setting.value if setting else None
    return float(value) if isinstance(value, int | float) and value > 0 else None


def layout(outcome: Outcome) -> dict[str, float | int]:
    """Instances, threads and batch of a test, and the number of processors that it had; empty if one is not known."""
    found = {}
    for name in ("instances", "threads", "batch"):
        setting = outcome.record.settings.get(f"execution.{name}")
        if setting is None or not isinstance(setting.value, int):
            return {}
        found[name] = setting.value
    cpus = outcome.record.settings.get("execution.cpus")
    return {**found, "cpus": len(cpus.value)} if cpus is not None and isinstance(cpus.value, list | tuple) else {}


def _keep(
    prepared: PreparedRun,
    planned: PlannedBenchmark,
    cell: Cell,
    outcome: Outcome,
    settings: dict[str, float | int],
    talk: Talk,
) -> None:
    """Store what was found, with the layout it was found with: a next run has nothing left to measure.

    Of a test that was disturbed nothing is stored: the next run would be held to what other programs left.
    """
    record = outcome.record
    if record.disturbance is not None and record.disturbance.reasons:
        talk.warn(
            f"{record.benchmark} {cell.scenario}: nothing is kept for the next run, as the test that shows it was "
            f"disturbed: {'; '.join(record.disturbance.reasons)}. Run --find again when less else runs here, or on "
            "other processors (--cpus)"
        )
        return
    before = prepared.stored(planned, cell.scenario)
    tuned = tuned_layout(prepared, planned, cell)
    measured = {} if is_served(prepared, planned) else layout(outcome)
    keep(
        prepared,
        planned,
        record,
        settings={**tuned, **settings, **measured},
        by="tune" if tuned else "find",
        parameters={} if before is None else before.parameters,
    )
