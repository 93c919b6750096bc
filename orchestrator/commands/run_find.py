"""`mlorch run --find`: expectations from a run of each scenario, the highest valid rate of Server by search."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.commands import run_plan
from orchestrator.execute.find import Search

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.commands.run_flow import Ready
    from orchestrator.commands.run_plan import Chosen
    from orchestrator.execute.run import Outcome
    from orchestrator.plan_run import Cell


def find_all(ready: Ready) -> Iterator[Outcome]:
    """Every test that the request asks for; in place of Server's one test, a search and its best test."""
    for chosen in ready.chosen:
        for cell in run_plan.cells(ready.request, chosen.workload.benchmark):
            if cell.mode == "accuracy":
                yield ready.runner.run(*ready.step(chosen, cell), total=0)
            elif cell.scenario == "Server":
                yield _find_server(ready, chosen, cell)
            else:
                yield _measure(ready, chosen, cell)


def _measure(ready: Ready, chosen: Chosen, cell: Cell) -> Outcome:
    """One test; what it measured becomes the expectation of the next, if it was VALID."""
    outcome = ready.runner.run(*ready.step(chosen, cell, system={}), total=0)
    found = expectation(outcome, cell.scenario)
    if outcome.record.valid and found:
        _keep(ready, chosen, cell, outcome, found | layout(outcome))
    return outcome


def expectation(outcome: Outcome, scenario: str) -> dict[str, float | int]:
    """What LoadGen should expect next time: samples a second in Offline, nanoseconds a query in the streams."""
    from orchestrator.errors import StepFailed
    from orchestrator.results.loadgen import parse

    if outcome.error is not None:
        return {}
    try:
        result = parse(outcome.folder)
    except StepFailed:
        return {}
    if scenario == "Offline":
        return {"target_qps": round(result.metrics[0].value, 3)} if result.metrics else {}
    mean = result.latency_ns.get("mean")
    return {"expected_latency_ns": int(mean)} if mean else {}


@dataclass(slots=True)
class _Probes:
    """The tests of a search, all with one layout; the last VALID one at a rate is the search's result."""

    ready: Ready
    chosen: Chosen
    cell: Cell
    layout: dict[str, float | int] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    best: dict[float, Outcome] = field(default_factory=dict)

    def test(self, rate: float | None) -> Outcome:
        """One Server test at ``rate``, None for the rate that the harness calibrates."""
        step = self.ready.step(self.chosen, self.cell, system=self.layout, target_qps=rate)
        outcome = self.ready.runner.run(*step, number=len(self.outcomes) + 1, total=0)
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


def _find_server(ready: Ready, chosen: Chosen, cell: Cell) -> Outcome:
    """The search: begins at what the harness calibrates. Its result is the test that confirmed the best rate."""
    probes = _Probes(ready, chosen, cell)
    first = probes.test(None)
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
    _keep(ready, chosen, cell, best, {"target_qps": found} | layout(best))
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


def _keep(ready: Ready, chosen: Chosen, cell: Cell, outcome: Outcome, settings: dict[str, float | int]) -> None:
    """Store what was found, with the layout it was found with: a next run has nothing left to measure."""
    from orchestrator.system.places import data_home
    from orchestrator.tuning import Tuned, store, tuning_file

    tuned = Tuned(
        benchmark=chosen.plan.benchmark,
        target=chosen.plan.target,
        scenario=cell.scenario,
        content_id=chosen.plan.layers[-1].content_id,
        settings={**settings, **layout(outcome)},
        run_id=outcome.record.run_id,
        found=outcome.record.started.utc,
        devices=ready.request.devices,
    )
    store(tuning_file(data_home(), ready.site.host.system_id), tuned)
