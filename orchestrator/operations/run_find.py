"""`mlorch run --find`: expectations from a run of each scenario, the highest valid rate of Server and Interactive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.facts.record import RateSearch, RateTry
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.operations.run_rates import lacks_rate, measured_rate, rate_from
from orchestrator.runs.rate_search import Search, with_margin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.operations.planned_benchmarks import PlannedBenchmark
    from orchestrator.operations.prepared_run import PreparedRun
    from orchestrator.plan.run.cells import Cell
    from orchestrator.runs.runner import Outcome

MARGIN = 0.9
"""Of the highest rate that was VALID: with it the next run is VALID nine times in ten (decision 0017)."""

EXPECTATIONS = ("target_qps", "expected_latency_ns")


def find_all(prepared: PreparedRun) -> Iterator[Outcome]:
    """Every test that the request asks for; in place of Server's one test, a search and its best test."""
    for planned, cell in prepared.tests():
        if cell.mode == "accuracy":
            yield prepared.run(planned, cell)
        elif SCENARIOS[cell.scenario].has_searched_rate:
            yield _find_rate(prepared, planned, cell)
        else:
            yield _measure(prepared, planned, cell)


def _measure(prepared: PreparedRun, planned: PlannedBenchmark, cell: Cell) -> Outcome:
    """One test; what it measured becomes the expectation of the next, if it was VALID."""
    outcome = prepared.run(planned, cell, system=tuned_layout(prepared, planned, cell))
    found = expectation(outcome, cell.scenario)
    if outcome.record.valid and found:
        _keep(prepared, planned, cell, outcome, found)
    return outcome


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
        """The test at ``rate``; one that failed raises, as a search over failures finds nothing."""
        outcome = self.test(rate)
        if outcome.error is not None:
            raise outcome.error
        return rate_try(outcome, rate)


def _find_rate(prepared: PreparedRun, planned: PlannedBenchmark, cell: Cell) -> Outcome:
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
    probes.layout |= layout(first)
    search = Search(probes.probe)
    best = search.run(start, first=rate_try(first, start))
    if best is None:
        return probes.outcomes[-1]
    for rate in with_margin(best, MARGIN):
        told = RateSearch(by="find", tries=tuple(search.tries), best=best, margin=rate / best, stopped=search.stopped)
        outcome = probes.test(rate, told)
        if outcome.record.valid:
            _keep(prepared, planned, cell, outcome, {"target_qps": round(rate, 3)})
            break
    return probes.outcomes[-1]


def tuned_layout(prepared: PreparedRun, planned: PlannedBenchmark, cell: Cell) -> dict[str, float | int | str]:
    """What `mlorch tune` found, without an expectation; what calibration once chose for `--find` is measured anew."""
    tuned = prepared.stored(planned, cell.scenario)
    if tuned is None or tuned.by != "tune":
        return {}
    return {name: value for name, value in tuned.settings.items() if name not in EXPECTATIONS}


def rate_try(outcome: Outcome, rate: float) -> RateTry:
    """What a test at ``rate`` says to a search; LoadGen's own figures, of its arrivals as they came."""
    measured = outcome.record.measured
    result = measured.loadgen if measured is not None else None
    figures = {} if result is None else {metric.name: metric.value for metric in result.metrics}
    answered = figures.get("completed_samples_per_second", 0.0)
    scheduled = figures.get("scheduled_samples_per_second") or rate
    return RateTry(
        rate=rate,
        answered=round(answered * rate / scheduled, 3),
        valid=outcome.record.valid is True,
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
    prepared: PreparedRun, planned: PlannedBenchmark, cell: Cell, outcome: Outcome, settings: dict[str, float | int]
) -> None:
    """Store what was found, with the layout it was found with: a next run has nothing left to measure."""
    from orchestrator.host.folders import data_home
    from orchestrator.runs.tuning import Tuned, store, tuning_file

    before = prepared.stored(planned, cell.scenario)
    kept = tuned_layout(prepared, planned, cell)
    tuned = Tuned(
        benchmark=planned.plan.benchmark,
        target=planned.plan.target,
        scenario=cell.scenario,
        content_id=planned.plan.layers[-1].content_id,
        settings={**kept, **settings, **layout(outcome)},
        run_id=outcome.record.run_id,
        found=outcome.record.started.utc,
        devices=prepared.request.devices,
        parameters={} if before is None else before.parameters,
        by="tune" if kept else "find",
    )
    store(tuning_file(data_home(), prepared.environment.host.system_id), tuned)
