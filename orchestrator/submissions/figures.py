"""The figure of a performance test: which entry of the log it is, its unit, and what is computed from another scenario.

Source: submission_checker.py, check_performance_dir and get_inferred_result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchestrator.submissions.facts import Unread

if TYPE_CHECKING:
    from orchestrator.facts.rounds import ModelRules, RoundRules
    from orchestrator.submissions.detail_log import DetailLog

NS_IN_MS = 1_000_000
_MS_IN_S = 1000
_SECONDS_PER_QUERY = ("SingleStream", "MultiStream")
_BASE_KEYS = (
    *("loadgen_version", "sut_name", "qsl_reported_total_count", "requested_use_token_latencies"),
    *("effective_scenario", "effective_test_mode", "effective_samples_per_query", "effective_target_latency_ns"),
    *("effective_min_duration_ms", "effective_min_query_count", "effective_performance_sample_count"),
    *("effective_qsl_rng_seed", "effective_sample_index_rng_seed", "effective_schedule_rng_seed"),
    *("effective_sample_concatenate_permutation", "power_begin", "power_end", "num_errors"),
    *("result_validity", "result_invalid_reason", "result_min_duration_met", "result_min_queries_met"),
    *("result_perf_constraints_met", "early_stopping_met", "early_stopping_result", "early_stopping_latency_ms"),
    *("early_stopping_latency_ss", "result_query_count", "result_mean_latency_ns", "result_mean_query_latency_ns"),
    *("result_99.00_percentile_latency_ns", "result_99.00_percentile_per_query_latency_ns"),
    *("result_qps_without_loadgen_overhead", "result_first_token_99.00_percentile_latency_ns"),
    "result_time_per_output_token_99.00_percentile_ns",
)


INFERRED_KEYS = {
    ("Offline", "SingleStream"): "result_qps_without_loadgen_overhead",
    ("Offline", "MultiStream"): "result_mean_query_latency_ns",
    ("MultiStream", "SingleStream"): "early_stopping_latency_ms",
}
"""What a result is computed of, by the scenario that it is of and the one that was run."""
OF_ACCURACY = frozenset((b"qsl_reported_total_count", b"num_errors"))
"""The keys of the detail log of an accuracy test that a rule asks for."""
OF_RANGING = frozenset((b"power_begin", b"power_end"))
"""The same of a ranging run."""


class Figure(NamedTuple):
    """A result; ``why`` says why there is none."""

    value: float | None
    inferred: bool = False
    why: str = ""


def wanted_keys(rules: RoundRules) -> frozenset[bytes]:
    """The keys of a detail log that some rule or row of the round asks for."""
    keys = {*_BASE_KEYS, *rules.checker.result_keys.values()}
    for model in rules.models.values():
        keys.update(model.submission.result_keys.values())
    return frozenset(key.encode() for key in keys)


def result_key(run: str, rules: RoundRules, model: ModelRules) -> str | None:
    """The key of the detail log that is the result of a test of the scenario ``run``; None where there is none."""
    return model.submission.result_keys.get(run, rules.checker.result_keys.get(run))


def figure_of(log: DetailLog | Unread, rules: RoundRules, model: ModelRules, scenario: str) -> Figure:
    """The result that a test shows for ``scenario``, which need not be the one that was run."""
    if isinstance(log, Unread):
        return Figure(None, why="the detail log was not read")
    run = str(log.values.get("effective_scenario"))
    key = result_key(run, rules, model)
    if key is None:
        return Figure(None, why=f"the log says the scenario `{run[:40]}`, which has no result")
    value = log.number(key)
    if value is None:
        return Figure(None, why=f"the log has no number for `{key}`")
    if run in _SECONDS_PER_QUERY:
        value = value / NS_IN_MS
    if (scenario, run) not in {(each.scenario, each.run) for each in rules.checker.inferred}:
        return Figure(float(value))
    return _inferred(log, rules, scenario, run)


def _inferred(log: DetailLog, rules: RoundRules, scenario: str, run: str) -> Figure:
    key = INFERRED_KEYS.get((scenario, run))
    value = log.number(key) if key is not None else None
    if value is None:
        return Figure(None, inferred=True, why=f"the log has no `{key}`, of which {scenario} is computed")
    if run == "MultiStream":
        samples = log.number("effective_samples_per_query")
        if not samples or not value:
            return Figure(None, inferred=True, why=f"the log has no number of samples or no latency for {scenario}")
        return Figure(samples * _MS_IN_S / (value / NS_IN_MS), inferred=True)
    if scenario == "MultiStream":
        return Figure(value * rules.checker.inferred_samples / NS_IN_MS, inferred=True)
    return Figure(float(value), inferred=True)


def stands_for(scenario: str, run: str, rules: RoundRules) -> bool:
    """Whether a test of the scenario ``run`` may be shown as ``scenario``."""
    if scenario == run or (scenario == "Interactive" and run == "Server"):
        return True
    return (scenario, run) in {(each.scenario, each.run) for each in rules.checker.inferred}
