"""The search for the highest valid rate, and where its findings are kept."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from orchestrator.facts.record import Setting
from orchestrator.harness import effective
from orchestrator.operations.run_find import layout
from orchestrator.runs import tuning
from orchestrator.runs.rate_search import MAX_PROBES, TOLERANCE, Search
from orchestrator.runs.runner import Outcome
from orchestrator.runs.tuning import Tuned


@pytest.mark.parametrize("limit", [3.0, 90.0, 100.0, 101.0, 350.0])
def test_finds_the_limit_within_tolerance_and_budget(limit):
    asked = []

    def probe(rate: float) -> bool:
        asked.append(rate)
        return rate <= limit

    found = Search(probe).run(100.0, start_valid=limit >= 100)
    assert found is not None
    assert limit / TOLERANCE**2 <= found <= limit or len(asked) >= MAX_PROBES - 1
    assert found <= limit
    assert len(asked) <= MAX_PROBES + 3


def test_a_target_that_is_never_valid_ends():
    asked = []
    assert Search(lambda rate: bool(asked.append(rate))).run(100.0) is None
    assert len(asked) == MAX_PROBES


def test_a_lucky_verdict_is_not_believed():
    """Just above the true limit the first test of a rate passes once by luck, and never again."""
    seen: set[float] = set()

    def probe(rate: float) -> bool:
        lucky = rate <= 104 and rate not in seen
        seen.add(rate)
        return rate <= 100 or lucky

    found = Search(probe).run(90.0)
    assert found is not None
    assert 95 <= found <= 100


def entry(**changes: object) -> Tuned:
    fields = {
        "benchmark": "b", "target": "cpu", "scenario": "Server", "content_id": "c1",
        "settings": {"target_qps": 512.5}, "run_id": "r", "found": "2026-11-24T00:00:00Z",
    }  # fmt: skip
    return Tuned(**{**fields, **changes})  # type: ignore[arg-type]


def test_findings_are_kept_by_system_benchmark_target_scenario_and_image(tmp_path):
    path = tuning.tuning_file(tmp_path, "sys")
    tuning.store(path, entry())
    tuning.store(path, entry(scenario="Offline", settings={"target_qps": 9.0}))
    tuning.store(path, entry(settings={"target_qps": 600.0}))
    found = tuning.load(path)
    assert tuning.settings_for(found, key="b/cpu/Server", content_id="c1") == {"target_qps": 600.0}
    assert tuning.settings_for(found, key="b/cpu/Offline", content_id="c1") == {"target_qps": 9.0}
    assert tuning.settings_for(found, key="b/cpu/Server", content_id="other") == {}
    assert tuning.settings_for(found, key="b/cpu/MultiStream", content_id="c1") == {}


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps({"version": 2, "tuned": {}}), '{"version": 1}'])
def test_a_broken_file_counts_as_empty(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    assert tuning.load(path) == {}


def outcome(**values: object) -> Outcome:
    settings = {f"execution.{name}": Setting(value=value, source="calibrated") for name, value in values.items()}
    return SimpleNamespace(record=SimpleNamespace(settings=settings))  # type: ignore[return-value]


def test_a_finding_has_the_layout_and_the_number_of_processors_that_it_holds_for():
    found = layout(outcome(instances=2, threads=1, batch=32, cpus=[0, 3]))
    assert found == {"instances": 2, "threads": 1, "batch": 32, "cpus": 2}


def test_a_layout_that_is_not_whole_is_not_kept():
    assert layout(outcome(instances=2, threads=1, batch=None, cpus=[0])) == {}
    assert layout(outcome(instances=2, threads=1, batch=8)) == {}


OPEN = {"instances": 2, "threads": 1, "batch": 32, "target_qps": 90.0, "expected_latency_ns": 50}


@pytest.mark.parametrize(
    ("scenario", "missing", "known"),
    [
        ("Offline", "expected_latency_ns", True),
        ("Offline", "target_qps", False),
        ("Server", "batch", False),
        ("SingleStream", "target_qps", True),
        ("SingleStream", "expected_latency_ns", False),
        ("MultiStream", "threads", False),
    ],
)
def test_the_harness_measures_nothing_only_where_nothing_is_left_open(scenario, missing, known):
    values = SimpleNamespace(**{**OPEN, missing: None})
    settings = SimpleNamespace(scenario=scenario, execution=values, loadgen=values)
    assert effective.known(settings) is known
