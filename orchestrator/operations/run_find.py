"""`mlorch run --find`: expectations from a run of each scenario, the highest valid rate of Server by search."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.operations.run_rates import lacks_rate, measured_rate, rate_from
from orchestrator.runs.rate_search import Search

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.operations.run import PreparedRun
    from orchestrator.operations.run_plan import PlannedBenchmark
    from orchestrator.plan.run.cells import Cell
    from orchestrator.runs.runner import Outcome


def find_all(prepared: PreparedRun) -> Iterator[Outcome]:
    """Every test that the request asks for; in place of Server's one test, a search and its best test."""
    for planned, cell in prepared.tests():
        if cell.mode == "accuracy":
            yield prepared.run(planned, cell)
        elif SCENARIOS[cell.scenario].has_searched_rate:
            yield _find_server(prepared, planned, cell)
        else:
            yield _measure(prepared, planned, cell)


def _measure(prepared: PreparedRun, planned: PlannedBenchmark, cell: Cell) -> Outcome:
    """One test; what it measured becomes the expectation of the next, if it was VALID."""
    outcome = prepared.run(planned, cell, system={})
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
    """The tests of a search, all with one layout; the last VALID one at a rate is the search's result."""

    prepared: PreparedRun
    planned: PlannedBenchmark
    cell: Cell
    layout: dict[str, float | int] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    best: dict[float, Outcome] = field(default_factory=dict)

    def test(self, rate: float | None) -> Outcome:
        """One Server test at ``rate``, None for the rate that the harness calibrates."""
        number = len(self.outcomes) + 1
        outcome = self.prepared.run(self.planned, self.cell, number=number, system=self.layout, target_qps=rate)
        self.outcomes.append(outcome)
        return outcome

    def valid(self, rate: float) -> bool:
        """The verdict at ``rate``; a test that failed raises, as a search over failures finds nothing."""
        outcome = self.test(rate)
        if outcome.error is not None:
            raise outcome.error
        if outcome.record.valid:
            self.best[rate] = outcome
        return outcome.record.valid is True


def _find_server(prepared: PreparedRun, planned: PlannedBenchmark, cell: Cell) -> Outcome:
    """The search: begins at what the harness calibrates. Its result is the test that confirmed the best rate."""
    probes = _Probes(prepared, planned, cell)
    rate = None
    if lacks_rate(prepared, planned, cell):
        probe = measured_rate(prepared, planned)
        rate = rate_from(probe, cell.scenario)
        if rate is None:
            return probe
    first = probes.test(rate)
    start = effective_rate(first)
    if first.error is not None or start is None:
        return first
    probes.layout = layout(first)
    if first.record.valid:
        probes.best[start] = first
    found = Search(probes.valid).run(start, start_valid=first.record.valid is True)
    if found is None:
        return probes.outcomes[-1]
    best = probes.best[found]
    _keep(prepared, planned, cell, best, {"target_qps": found})
    return best


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

    tuned = Tuned(
        benchmark=planned.plan.benchmark,
        target=planned.plan.target,
        scenario=cell.scenario,
        content_id=planned.plan.layers[-1].content_id,
        settings={**settings, **layout(outcome)},
        run_id=outcome.record.run_id,
        found=outcome.record.started.utc,
        devices=prepared.request.devices,
    )
    store(tuning_file(data_home(), prepared.environment.host.system_id), tuned)
