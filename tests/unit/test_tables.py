"""Scenarios, metrics and frameworks stand once: what a new one needs, and that the harness's own tables agree."""

from __future__ import annotations

import re
import typing
from dataclasses import replace
from types import SimpleNamespace

import pytest
from results_parts import LOGS, add_run

from orchestrator.facts import scenarios
from orchestrator.facts.metrics import METRICS, MetricKind, text
from orchestrator.facts.rounds import OfficialTest
from orchestrator.facts.scenarios import SCENARIOS, Scenario
from orchestrator.facts.tasks import TASKS
from orchestrator.harness import backends
from orchestrator.harness import metrics as inside_metrics
from orchestrator.harness import scenarios as inside
from orchestrator.harness import tasks as inside_tasks
from orchestrator.operations.context import Context
from orchestrator.operations.run.request import RunRequest, checked
from orchestrator.plan.run.cells import cells_of
from orchestrator.plan.run.settings import _defaults, _official
from orchestrator.results import loadgen
from orchestrator.results.report import render
from orchestrator.results.store import Store
from orchestrator.results.summary import summarise


def test_the_harness_knows_the_same_scenarios():
    assert list(inside.SCENARIOS) == list(SCENARIOS) == list(typing.get_args(scenarios.ScenarioName))
    assert typing.get_args(inside.ScenarioName) == typing.get_args(scenarios.ScenarioName)
    for name, ours in SCENARIOS.items():
        theirs = inside.SCENARIOS[name]
        assert (theirs.percentile, theirs.samples_per_query) == (ours.percentile, ours.samples_per_query), name
        assert bool(theirs.rate) == ours.has_rate == (not theirs.one_by_one), name
        assert theirs.at_a_rate == ours.has_latency_limit, name
        assert theirs.loadgen_name == ours.loadgen_name, name


def test_the_harness_knows_the_same_tasks():
    assert set(inside_tasks.TASKS) == set(TASKS)


def test_what_is_scored_is_what_the_accuracy_image_counts():
    assert set(inside_metrics.METRICS) == {name for name, task in TASKS.items() if task.scored}


def test_the_recipe_of_the_harness_names_the_frameworks_that_it_has():
    harness = Context().catalog.harness("loadgen-onnx").definition
    assert set(harness.backends.values()) == set(backends.FRAMEWORKS)


def test_loadgen_has_every_scenario_and_setting_that_the_harness_names():
    lg = pytest.importorskip("mlperf_loadgen")
    for name, scenario in inside.SCENARIOS.items():
        assert hasattr(lg.TestScenario, scenario.loadgen_name), name
        known = lg.TestSettings()
        fields = [scenario.rate] if scenario.rate else [f"{scenario.prefix}_expected_latency_ns"]
        fields += [f"{scenario.prefix}_target_latency_percentile"] if scenario.percentile else []
        fields += [f"{scenario.prefix}_target_latency_ns"] if scenario.at_a_rate else []
        fields += [f"{scenario.prefix}_samples_per_query"] if scenario.samples_per_query else []
        fields += ["use_token_latencies", "ttft_latency", "tpot_latency"]
        assert [field for field in fields if not hasattr(known, field)] == []


def test_every_metric_belongs_to_a_scenario_and_stands_in_a_log_of_loadgen():
    assert {name for one in SCENARIOS.values() for name in one.metrics} == set(METRICS)
    logs = "".join(path.read_text() for path in LOGS.glob("*/mlperf_log_detail.txt"))
    assert [kind.key for kind in METRICS.values() if f'"{kind.key}"' not in logs] == []


BURST = Scenario(
    name="Burst",  # type: ignore[arg-type]
    metrics=("bursts_per_minute",),
    latency_of="from the first query of a burst to its last answer",
    min_queries=7,
    rate_title="Rate of bursts",
)
BURSTS = MetricKind(name="bursts_per_minute", title="Bursts per minute", unit="bursts/min", key="result_bursts")


def test_a_new_scenario_with_a_new_metric_is_a_line_in_each_table(monkeypatch, tmp_path):
    monkeypatch.setitem(SCENARIOS, "Burst", BURST)
    monkeypatch.setitem(METRICS, "bursts_per_minute", BURSTS)
    assert checked(RunRequest(scenarios=("burst",))).scenarios == ("Burst",)
    assert [cell.scenario for cell in cells_of(["Burst", "Offline"], mode="performance")] == ["Offline", "Burst"]
    assert _defaults("Burst")["min_query_count"] == 7
    official = OfficialTest(round="r1", min_duration_ms=5, min_queries={"Burst": 700})
    assert _official("Burst", official, {})["min_query_count"] == 700

    record, folder = add_run(Store(tmp_path), "offline")
    detail = folder / loadgen.DETAIL
    log = detail.read_text().replace('"value": "Offline"', '"value": "Burst"')
    detail.write_text(re.sub(r'"result_samples_per_second", "value": [0-9.]+', '"result_bursts", "value": 12.5', log))
    result = loadgen.parse(folder).result
    assert (result.name, result.title, text(result.value, result.unit)) == (
        "bursts_per_minute", "Bursts per minute", "12.50 bursts/min",
    )  # fmt: skip
    measured = replace(record.measured, loadgen=loadgen.parse(folder))
    page = render([summarise(replace(record, scenario="Burst", measured=measured), folder)])
    for words in ("Bursts per minute", "12.50", "bursts/min", "Rate of bursts", "from the first query of a burst"):
        assert words in page


def test_a_scenario_that_nobody_knows_is_read_without_a_result(tmp_path):
    _, folder = add_run(Store(tmp_path), "offline")
    detail = folder / loadgen.DETAIL
    detail.write_text(detail.read_text().replace('"value": "Offline"', '"value": "Unheard"'))
    assert loadgen.parse(folder).metrics == ()


def test_what_the_harness_does_follows_from_how_queries_arrive():
    def asked(scenario: str, **loadgen: object) -> SimpleNamespace:
        given = {"target_qps": None, "expected_latency_ns": None, **loadgen}
        execution = SimpleNamespace(instances=1, threads=1, batch=1)
        return SimpleNamespace(scenario=scenario, loadgen=SimpleNamespace(**given), execution=execution)

    from orchestrator.harness.effective import known

    for name, scenario in inside.SCENARIOS.items():
        assert known(asked(name, target_qps=1.0)) == (not scenario.one_by_one)
        assert known(asked(name, expected_latency_ns=1)) == scenario.one_by_one
