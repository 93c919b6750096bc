"""The search for the highest valid rate, and where its findings are kept."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace

import pytest

from orchestrator.facts.record import RateTry, Setting
from orchestrator.harness import effective
from orchestrator.operations.run.find import MARGIN, layout
from orchestrator.runs import tuning
from orchestrator.runs.rate_search import MAX_PROBES, TOLERANCE, Search, queue_grew, with_margin
from orchestrator.runs.runner import Outcome
from orchestrator.runs.tuning import Tuned


class Server:
    """Answers at most ``able`` queries a second, in time up to ``limit`` of them; noise and bad luck by a seed."""

    def __init__(self, limit: float, *, able: float = 0.0, noise: float = 0.0, seed: int = 1) -> None:
        self.limit, self.able, self.noise = limit, able or limit * 1.1, noise
        self.random = random.Random(seed)
        self.asked: list[float] = []

    def __call__(self, rate: float) -> RateTry:
        self.asked.append(rate)
        level = self.random.gauss(1.0, self.noise)
        return RateTry(rate=rate, answered=min(rate, self.able * level), valid=rate <= self.limit * level)


@pytest.mark.parametrize("limit", [3.0, 90.0, 100.0, 101.0, 350.0, 20_000.0])
def test_finds_the_limit_within_tolerance_and_budget(limit):
    server = Server(limit)
    found = Search(server).run(100.0)
    assert found is not None
    assert limit / TOLERANCE**2 <= found <= limit or len(server.asked) >= MAX_PROBES
    assert found <= limit
    assert len(server.asked) <= MAX_PROBES


def test_a_saturated_server_says_where_to_look():
    """Far too high a start: one test tells what the server answers, where halving would take eight of them."""
    server = Server(100.0, able=101.0)
    search = Search(server)
    found = search.run(10_000.0)
    assert found is not None
    assert 94 <= found <= 100
    assert len(server.asked) <= 4
    assert max(server.asked[1:]) <= 101, "no rate above what it answers is tried again"
    assert search.stopped.startswith("saturated: of ")


def test_going_up_ends_at_saturation():
    server = Server(100.0, able=100.0)
    search = Search(server)
    assert search.run(60.0) == pytest.approx(98, rel=0.05)
    assert "saturated" in search.stopped
    assert len(server.asked) <= 6


def test_a_server_that_is_late_without_being_saturated_is_searched_by_halves():
    search = Search(Server(100.0, able=1000.0))
    assert search.run(90.0) == pytest.approx(100, rel=TOLERANCE - 1)
    assert "saturated" not in search.stopped


def test_a_moment_in_which_the_machine_stood_still_is_no_saturation():
    """A test that answered less than one that was VALID says nothing of the server."""
    tries = [RateTry(rate=100, answered=100, valid=True), RateTry(rate=130, answered=20, valid=False)]
    server = Server(120.0, able=125.0)
    search = Search(lambda rate: tries.pop(0) if tries else server(rate))
    assert search.run(100.0) == pytest.approx(120, rel=0.04)


def test_a_limit_that_is_longer_than_the_test_hides_no_saturation():
    """An LLM may take half a minute to answer: 64 queries at four times what it can do are all in time."""
    able, least_s, queries = 1.3, 0.8, 64

    def probe(rate: float) -> RateTry:
        ended_s = max(queries / rate, queries / able) + 2 * least_s
        grew = queue_grew(queries, rate, queries / ended_s, least_s)
        return RateTry(rate=rate, answered=queries / ended_s, valid=rate < 4 * able, queue_grew=grew)

    search = Search(probe)
    found = search.run(0.4)
    assert found is not None
    assert 0.9 * able < found < 1.15 * able
    assert "saturated" in search.stopped


@pytest.mark.parametrize(
    ("queries", "scheduled", "answered", "least_s", "grew"),
    [
        (270_336, 20_000, 19_990, 0.0005, False),
        (64, 1.0, 0.97, 0.8, False),  # the last answer took two seconds, as they all do when several are under way
        (64, 3.0, 1.3, 0.8, True),
        (100, 162.0, 160.5, 0.0056, False),
        (4000, 4000.0, 300.0, 0.004, True),
        (64, 3.0, 0.0, 0.8, False),  # nobody knows what was answered
    ],
)
def test_a_queue_grew_where_the_last_answers_are_late(queries, scheduled, answered, least_s, grew):
    assert queue_grew(queries, scheduled, answered, least_s) is grew


def test_a_target_that_is_never_valid_ends():
    asked = []

    def probe(rate: float) -> RateTry:
        asked.append(rate)
        return RateTry(rate=rate, answered=rate, valid=False)

    search = Search(probe)
    assert search.run(100.0) is None
    assert len(asked) == MAX_PROBES
    assert search.stopped.startswith("no test was VALID")


@pytest.mark.parametrize("seed", range(20))
def test_with_noise_the_rate_to_store_is_near_the_limit_and_below_it_mostly(seed):
    """4 % of noise a test: what is stored is VALID nine times in ten, and no less than three quarters of the limit."""
    server = Server(1000.0, noise=0.04, seed=seed)
    best = Search(server).run(700.0)
    assert best is not None
    stored = next(rate for rate in with_margin(best, MARGIN) if server(rate).valid)
    assert 750 < stored < 1000
    assert sum(server(stored).valid for _ in range(20)) >= 16


def test_the_margin_is_what_makes_it_so():
    """Without it the same server is INVALID about every second time."""
    shares = []
    for margin in (1.0, MARGIN):
        valid = 0
        for seed in range(40):
            server = Server(1000.0, noise=0.04, seed=seed)
            best = Search(server).run(700.0)
            assert best is not None
            valid += server(best * margin).valid
        shares.append(valid / 40)
    assert shares[0] < 0.8
    assert shares[1] >= 0.9


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
