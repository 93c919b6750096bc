"""How long a test may take and be silent: what a limit follows from, and that a container which hangs is stopped."""

from __future__ import annotations

import json
import threading
import time

import pytest
from hostile_run_parts import RUN, Engine, runner
from run_parts import a_run_environment, a_workload

from orchestrator.cli import run as mlorch
from orchestrator.facts.runs import TimeLimit
from orchestrator.harness import lines
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.limits import time_limit
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices


@pytest.fixture
def run_it(tmp_path):
    return runner(tmp_path)


@pytest.mark.parametrize(
    ("limit", "talks", "words", "advice"),
    [
        (TimeLimit(total_s=1), True, "after 1 s, its limit", "`--timeout` of `mlorch run` is the limit (now 1 s)"),
        (TimeLimit(total_s=60, silence_s=1), False, "nothing for 1 s", "is the limit of silence too (now 1 s)"),
    ],
)
def test_a_harness_that_hangs_is_stopped_and_its_run_failed_with_the_reason(run_it, limit, talks, words, advice):
    def hanging(_results, on_line):
        until = time.monotonic() + 20
        while not engine.stopped.wait(0.1) and time.monotonic() < until:
            if talks:
                on_line("still here\n")
        return 137

    engine = Engine(hanging)
    began = time.monotonic()
    outcome = run_it(engine, limit=limit)
    assert time.monotonic() - began < 10
    assert (outcome.record.status, outcome.error.slug) == ("failed", "timeout")
    assert words in outcome.error.message
    assert advice in outcome.error.hint
    assert outcome.record.limit == limit


def test_a_harness_that_stands_still_says_nothing_and_is_stopped_for_its_silence(run_it, monkeypatch):
    """Our own harness's thread tells how far it is; what it writes is what mlorch hears."""
    heard: list[str] = []

    def standing_still(_results, on_line):
        monkeypatch.setattr(lines, "emit", lambda event, **values: on_line(json.dumps({"event": event, **values})))
        until = time.monotonic() + 5
        with lines.ProgressLines(lambda: (7, 64, time.monotonic())):
            while not engine.stopped.wait(0.1) and time.monotonic() < until:
                pass
        heard.append("stopped" if engine.stopped.is_set() else "went on")
        return 137

    engine = Engine(standing_still)
    outcome = run_it(engine, limit=TimeLimit(total_s=60, silence_s=1))
    assert heard == ["stopped"]
    assert (outcome.error.slug, "nothing for 1 s" in outcome.error.message) == ("timeout", True)


def test_each_step_forward_is_told_once_with_its_rate(capsys, monkeypatch):
    monkeypatch.setattr(lines, "PROGRESS_SECONDS", 0.01)
    moments = iter([(0, None), (0, None), (0, 64), (5, 64), (5, 64), (5, 64), (64, 64)])
    last = threading.Event()

    def read():
        try:
            return (*next(moments), 1.0)
        except StopIteration:
            last.set()
            return 64, 64, 0.0

    with lines.ProgressLines(read):
        assert last.wait(10)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["done"], one["total"]) for one in told] == [(0, None), (0, 64), (5, 64), (64, 64)]
    assert [one["qps"] > 0 for one in told] == [False, False, True, True]


def test_a_limit_follows_from_the_duration_or_the_command_line():
    environment = a_run_environment()
    cell = Cell(scenario="Offline", mode="performance")

    def limit(**choices):
        return plan_run(a_workload(), environment, cell, RUN, Choices(**choices)).limit

    assert limit().total_s > 24 * 3600
    assert limit(min_duration_ms=10**9).total_s > 20 * 10**6
    assert limit(timeout_s=600) == TimeLimit(total_s=600, silence_s=600, source="command line")
    assert limit(timeout_s=10**6) == TimeLimit(total_s=10**6, silence_s=10**6, source="command line")


@pytest.mark.parametrize(
    ("settings", "hours"),
    [
        ({"target_qps": 2.0}, 270_336 / 2 / 3600),
        ({"target_qps": 2}, 270_336 / 2 / 3600),
        ({"expected_latency_ns": 3 * 10**9}, 270_336 * 3 / 3600),
        ({"target_qps": None, "expected_latency_ns": None}, 0),
        ({"target_qps": 5e-324}, 366 * 24),  # more than a number can hold
    ],
)
def test_a_test_has_twice_the_time_that_its_least_number_of_queries_needs(settings, hours):
    official = {"min_duration_ms": 600_000, "min_query_count": 270_336, **settings}
    seconds = time_limit(official, None, is_ours=True).total_s
    assert seconds / 3600 == pytest.approx(24 + 20 / 6 + 2 * hours, abs=0.01)


@pytest.mark.parametrize("text", ["", "10", "0s", "-1s", "1y", "99999999999d", "²s"])
def test_what_is_no_time_limit_is_refused_before_anything(text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mlorch(["run", "image-fashion", "-t", "cpu", "--timeout", text, "--dry-run"]) == 2
    assert "timeout-syntax" in capsys.readouterr().err
