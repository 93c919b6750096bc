"""Rates that nobody gave: measured before a test of somebody else's harness, corrected where a guess was wrong.

Our own harness measures what it does before each test. Somebody else's program is started with a rate, and
without one LoadGen takes one query a second: an Offline test that ends in a moment, a Server test of hours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.plan.run.cells import Cell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.operations.run.benchmarks import PlannedBenchmark
    from orchestrator.operations.run.prepared import PreparedRun
    from orchestrator.runs.runner import Outcome

PROBE_SAMPLES = 64
"""Samples of the test that measures a rate; few, as one may take seconds."""
SERVER_SHARE = 0.4
"""Of the rate that Offline reaches: meant to be VALID, not to be the highest (`--find` looks for that)."""
LESS = {"calibrated": (0.5,), "searched": (0.8, 0.6)}
"""What is left of a rate after an INVALID test, by where it came from (`Setting.source`); the last after each further
one: a machine that was too busy for four fifths will often be so for two thirds."""
FASTER = 1.05
_PROBE_MS = 1000
_LOADGEN_SLACK = 1.1
"""LoadGen makes Offline's query this much longer than rate × duration."""
NOTE = "measures the rate for the test after it; no result of its own"


def lacks_rate(prepared: PreparedRun, planned: PlannedBenchmark, cell: Cell) -> bool:
    """Whether a test needs a rate that nobody gave and its harness does not measure."""
    if planned.workload.harness.program is None or not SCENARIOS[cell.scenario].has_rate:
        return False
    if cell.mode == "accuracy" and cell.scenario == "Offline":  # all samples, whatever the rate
        return False
    loadgen = prepared.step(planned, cell).settings["loadgen"]
    return isinstance(loadgen, dict) and loadgen.get("target_qps") is None


def measured_rate(prepared: PreparedRun, planned: PlannedBenchmark) -> Outcome:
    """A short Offline test, whose result says what to expect; `UsageError` [target-qps] without that scenario."""
    if "Offline" not in planned.workload.benchmark.scenarios:
        raise UsageError(
            f"benchmark `{planned.plan.benchmark}` has no rate, and no Offline scenario to measure one",
            hint="give --target-qps N, or `target_qps` of the scenario in its recipe",
            slug="target-qps",
        )
    rate = PROBE_SAMPLES * 1000 / (_PROBE_MS * _LOADGEN_SLACK)
    return prepared.run(
        planned,
        Cell(scenario="Offline", mode="performance"),
        note=NOTE,
        min_duration_ms=_PROBE_MS,
        calibrated={"target_qps": rate},
    )


def rate_from(outcome: Outcome, scenario: str) -> float | None:
    """The rate to begin with after the test that measured one; None where it measured nothing."""
    measured = outcome.record.measured
    if outcome.error is not None or measured is None or measured.loadgen is None or measured.loadgen.rate is None:
        return None
    rate = measured.loadgen.rate
    return rate * SERVER_SHARE if SCENARIOS[scenario].has_searched_rate else rate * FASTER


def next_settings(outcome: Outcome, already: int = 0) -> dict[str, Mapping[str, float | int]]:
    """What to try instead after a test that was INVALID with a guess: a field of `Choices`, or nothing.

    ``already``: how often it was changed before. What somebody asked for never changes. Server gets half of its rate
    where that was a share of what was measured in a moment; where the harness searched it four fifths, then three
    fifths of that. Offline gets what it just reached: its one query was too short. The streams of a program that was
    told no latency get half of what they just had: LoadGen makes 2 × duration ÷ latency queries, and ran out of them. A
    test that was spoiled gets nothing.
    """
    record = outcome.record
    if outcome.error is not None or record.valid is not False or is_spoiled(outcome):
        return {}
    if not SCENARIOS[record.scenario].has_rate:
        latency = _expected_latency(outcome)
        return {"calibrated": latency} if latency else {}
    setting = record.settings.get("loadgen.target_qps")
    if setting is None or setting.source not in LESS:
        return {}
    if not isinstance(setting.value, int | float) or setting.value <= 0:
        return {}
    if SCENARIOS[record.scenario].has_searched_rate:
        less = LESS[setting.source]
        return {setting.source: {"target_qps": float(setting.value) * less[min(already, len(less) - 1)]}}
    reached = rate_from(outcome, record.scenario)
    return {"calibrated": {"target_qps": reached}} if reached is not None and reached > setting.value else {}


def is_spoiled(outcome: Outcome) -> bool:
    """Whether a test is INVALID though LoadGen's own verdict is not: it says nothing of its rate.

    Errors in LoadGen's log spoiled it, or servers that ended, and no other rate mends them. LoadGen logs an error too
    where it ends a test early because the rate was too high; there its verdict is INVALID.
    """
    measured = outcome.record.measured
    refused = measured is not None and measured.loadgen is not None and measured.loadgen.valid is False
    return outcome.error is None and outcome.record.valid is False and not refused


def _expected_latency(outcome: Outcome) -> dict[str, float | int] | None:
    record, measured = outcome.record, outcome.record.measured
    setting = record.settings.get("loadgen.expected_latency_ns")
    told = setting is not None and setting.value is not None and setting.source != "calibrated"
    if told or not record.is_external or measured is None or measured.loadgen is None:
        return None
    mean = measured.loadgen.latency_ns.get("mean")
    if not mean or (setting is not None and isinstance(setting.value, int) and setting.value <= mean / 2):
        return None  # it had enough queries: it was INVALID for another reason
    return {"expected_latency_ns": max(1, int(mean / 2))}
