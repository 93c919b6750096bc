"""What the test runs with: the settings, and for each value that they left open the measured one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .calibrate import quickest, throughput
from .instances import Layout
from .scenarios import SCENARIOS

if TYPE_CHECKING:
    from .calibrate import Trial
    from .settings import Settings
    from .trials import Trials

CALIBRATION_SECONDS = 2.2
"""Of the three allowed; a trial that has begun is finished."""
ACCURACY_BATCH = 8
MAX_CALL_SECONDS = 0.25
"""No longer calls: at the end of Offline the other processors wait for the last one."""
SERVER_SHARE = 0.4
"""Of the measured throughput; the rest absorbs bursts and other load on the machine."""
SERVER_QUERY_SECONDS = 25e-6
"""Processor time of a Server query beside the model: LoadGen, queue and response (measured)."""
OFFLINE_SAMPLE_SECONDS = 0.5e-6
"""Processor time of an Offline sample beside the model, at least: lists, responses, LoadGen (measured: 0.51)."""
SERVER_LATE_QUERIES = 5
"""The Server test is long enough for this many late queries at its percentile."""
CONFIDENCE = 0.99
"""LoadGen's early stopping (early_stopping.cc)."""


@dataclass
class Effective:
    """The layout and LoadGen's values; ``sources`` has where each came from."""

    layout: Layout
    values: dict[str, float | int] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    calibration: dict[str, object] | None = None

    def put(self, name: str, value: float, source: str) -> None:
        self.values[name], self.sources[name] = value, source

    def put_given(self, name: str, given: float | None, default: float) -> None:
        """A value of the settings, else the default."""
        if given is None:
            self.put(name, default, "default")
        else:
            self.put(name, given, "settings")

    def document(self) -> dict[str, object]:
        """For harness.json."""
        return {name: {"value": value, "source": self.sources[name]} for name, value in sorted(self.values.items())}


def resolve(settings: Settings, trials: Trials) -> Effective:
    """Measure what has to be measured and give every value."""
    trial = _measure(settings, trials)
    effective = Effective(layout=trial.layout if trial else _default_layout(settings))
    for name in ("instances", "threads", "batch"):
        given = getattr(settings.execution, name) is not None
        measured = "calibrated" if trial else "default"
        effective.put(name, getattr(effective.layout, name), "settings" if given else measured)
    if trial:
        effective.calibration = calibration(trial, trials.spent())
    put_scenario_values(settings, effective, trial)
    return effective


def calibration(trial: Trial, seconds: float) -> dict[str, object]:
    """What was measured before the test, in so many seconds: for harness.json."""
    return {
        "batch": trial.layout.batch,
        "instances": trial.layout.instances,
        "threads": trial.layout.threads,
        "samples_per_second": round(trial.rate, 3 if trial.rate < 10 else 1),
        "latency_ns": round(trial.latency * 1e9),
        "seconds": round(seconds, 2),
    }


def samples_per_query(settings: Settings) -> int:
    default = SCENARIOS[settings.scenario].samples_per_query
    return 1 if default is None else settings.loadgen.samples_per_query or default


def queries_for(percentile: float, late: int) -> int:
    """The least queries with which LoadGen accepts ``late`` queries over a percentile's bound.

    The smallest n for which at most ``late`` of n independent queries, each late with
    probability 1 - percentile, come with a probability of at most 1 - CONFIDENCE. For
    one late query: 64 at 90 %, 662 at 99 %, as LoadGen says.
    """
    chance = 1 - percentile
    queries = late
    while True:
        queries += 1
        term, total = percentile**queries, 0.0
        for k in range(late + 1):
            total += term
            term *= chance / percentile * (queries - k) / (k + 1)
        if total <= 1 - CONFIDENCE:
            return queries


def _measure(settings: Settings, trials: Trials) -> Trial | None:
    """None where nothing is open: accuracy needs no best layout, but the Server scenario a rate."""
    execution, loadgen, scenario = settings.execution, settings.loadgen, SCENARIOS[settings.scenario]
    if known(settings):
        return None
    if settings.mode == "accuracy":
        if not scenario.at_a_rate or loadgen.target_qps is not None:
            return None
        layout = _default_layout(settings)
        return trials.throughput(layout)
    if scenario.one_by_one:
        size = samples_per_query(settings)

        def query(layout: Layout) -> Trial:
            return trials.query(layout, size)

        return trials.tuned(quickest(execution, query, size, trials.left), query)
    max_call = MAX_CALL_SECONDS
    if scenario.at_a_rate:
        max_call = min(max_call, (loadgen.target_latency_ns or 0) / 4e9)
    return trials.tuned(throughput(execution, trials.throughput, max_call, trials.left), trials.throughput)


def known(settings: Settings) -> bool:
    """Whether the settings leave nothing to measure: layout and expectation are given (`mlorch run --find`)."""
    execution, loadgen = settings.execution, settings.loadgen
    one_by_one = SCENARIOS[settings.scenario].one_by_one
    expected = loadgen.expected_latency_ns if one_by_one else loadgen.target_qps
    return None not in {execution.instances, execution.threads, execution.batch, expected}


def _default_layout(settings: Settings) -> Layout:
    """Where nothing is measured: every processor an instance."""
    execution = settings.execution
    threads = execution.threads or 1
    instances = execution.instances or len(execution.cpus) // threads
    batch = execution.batch or ACCURACY_BATCH
    scenario = SCENARIOS[settings.scenario]
    if not scenario.one_by_one:
        return Layout(instances, threads, batch)
    if scenario.samples_per_query is None:
        return Layout(1, threads, 1)
    batch = min(batch, -(-samples_per_query(settings) // instances))
    return Layout(instances, threads, batch)


def put_scenario_values(settings: Settings, effective: Effective, trial: Trial | None) -> None:
    """What LoadGen is told of the scenario: from the settings, else measured, else the default."""
    loadgen, scenario = settings.loadgen, SCENARIOS[settings.scenario]
    effective.put("min_duration_ms", loadgen.min_duration_ms, "settings")
    effective.put("min_query_count", loadgen.min_query_count, "settings")
    _expected_load(settings, effective, trial)
    if scenario.at_a_rate and settings.generation is not None:
        effective.put("ttft_latency_ns", loadgen.ttft_latency_ns or 0, "settings")
        effective.put("tpot_latency_ns", loadgen.tpot_latency_ns or 0, "settings")
    elif scenario.at_a_rate:
        effective.put("target_latency_ns", loadgen.target_latency_ns or 0, "settings")
        effective.put_given("batch_delay_us", settings.execution.batch_delay_us, 0)
    if scenario.samples_per_query is not None:
        effective.put_given("samples_per_query", loadgen.samples_per_query, scenario.samples_per_query)
    if scenario.percentile is not None:
        effective.put_given("target_latency_percentile", loadgen.target_latency_percentile, scenario.percentile)
        _raise_query_count(settings, effective, loadgen.target_latency_percentile or scenario.percentile)


def _expected_load(settings: Settings, effective: Effective, trial: Trial | None) -> None:
    """What LoadGen sizes its queries by: a rate in Offline and Server, else a latency."""
    loadgen, scenario = settings.loadgen, SCENARIOS[settings.scenario]
    if scenario.one_by_one:
        if loadgen.expected_latency_ns is not None:
            effective.put("expected_latency_ns", loadgen.expected_latency_ns, "settings")
        elif trial:
            effective.put("expected_latency_ns", expected_latency_ns(trial), "calibrated")
        return
    if loadgen.target_qps is not None:
        effective.put("target_qps", loadgen.target_qps, "settings")
    elif trial:
        rate = server_qps(trial, len(settings.execution.cpus)) if scenario.at_a_rate else offline_qps(trial)
        effective.put("target_qps", round(rate, 2), "calibrated")


def _raise_query_count(settings: Settings, effective: Effective, percentile: float) -> None:
    """Fewer queries than early stopping needs would be INVALID by construction."""
    if settings.mode != "performance":
        return
    # An answer of many tokens takes seconds, and so would have to be waited for by the hundred.
    several = SCENARIOS[settings.scenario].at_a_rate and settings.generation is None
    late = SERVER_LATE_QUERIES if several else 1
    if (least := queries_for(percentile, late)) > effective.values["min_query_count"]:
        effective.put("min_query_count", least, "early stopping")


def offline_qps(trial: Trial) -> float:
    """What LoadGen sizes its one query by.

    The rate without other load: a query sized in a busy moment would end before the
    minimum duration. LoadGen adds a tenth. Trials do not see what a sample costs beside the model, one after
    the other under the interpreter's lock; with a model of microseconds that is all that counts, and a query sized
    without it lasts for minutes and fills the memory.
    """
    return min(max(trial.rate, trial.undisturbed), 1 / OFFLINE_SAMPLE_SECONDS)


def server_qps(trial: Trial, cpus: int) -> float:
    return SERVER_SHARE * cpus / (cpus / trial.rate + SERVER_QUERY_SECONDS)


def expected_latency_ns(trial: Trial) -> int:
    """What LoadGen generates its queries by: twice as many as fit into the minimum duration.

    Taken from the shortest query, so that they last when other load goes away.
    """
    return max(1, round(1e9 * min(trial.latency, 1.5 * trial.shortest)))
