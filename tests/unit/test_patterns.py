"""Patterns of a recipe, on lines that a program printed: whatever both are, the answer comes soon."""

from __future__ import annotations

import time

import pytest
from external_run_parts import leaving, make_run, programs, scored

from orchestrator.errors import StepFailed
from orchestrator.facts.patterns import PatternError, compiled
from orchestrator.host import line_search
from orchestrator.host.line_search import LineSearch
from orchestrator.results.figures import read_figures_again

FOR_EVER = "^(([a-z])+.)+[A-Z]([a-z])+$"
"""Takes Python's `re` minutes on forty letters."""


@pytest.fixture
def run_it(tmp_path):
    return make_run(tmp_path)


def test_a_pattern_that_would_backtrack_for_ever_is_answered_at_once():
    started = time.monotonic()
    assert not LineSearch().has(FOR_EVER, "a" * 16_384)
    assert not LineSearch().has("(a*)*b|(a|a)+$c", "a" * 10**6)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("pattern", "why"),
    [("(?=a)b", "look-around"), (r"(a)\1", "reference"), ("a{1001}", "{1001}"), ("(", "missing"), ("(.{999}){9}", "")],
)
def test_what_re2_cannot_search_is_no_pattern_and_named(pattern, why):
    with pytest.raises(PatternError) as caught:
        compiled(pattern)
    assert pattern in str(caught.value)
    assert why in str(caught.value)


def test_a_pattern_that_needs_too_much_memory_is_refused():
    with pytest.raises(PatternError, match="too much memory"):
        compiled("(?:a?){1000}" * 30)


def test_text_that_is_no_utf8_is_searched():
    assert LineSearch().group("acc=([0-9]+)", "\udcff acc=7") == "7"


def test_all_patterns_together_have_a_limit(monkeypatch):
    seconds = iter(range(0, 1000, 1))
    monkeypatch.setattr(line_search.time, "thread_time", lambda: next(seconds))
    search = LineSearch(limit_s=3)
    for _ in range(3):
        search.has("a", "b")
    with pytest.raises(PatternError, match="the pattern `a` takes too long"):
        search.has("a", "b")


def test_a_run_whose_pattern_is_slow_is_stopped_and_names_it(run_it, monkeypatch):
    monkeypatch.setattr(line_search, "SLOWEST_LINE_S", -1.0)
    engine = programs()
    outcome, record = run_it(engine)
    assert (outcome.error.slug, record.status) == ("pattern-slow", "failed")
    assert "`^done$` takes too long" in outcome.error.message
    assert engine.stopped.wait(5)


def test_a_run_with_a_pattern_that_backtracks_ends(run_it):
    def printing(folders, on_line):
        leaving("accuracy")(folders, on_line)
        on_line("a" * 100_000 + "\n")

    started = time.monotonic()
    expect = {"console_has": ["^done$"], "console_lacks": [FOR_EVER]}
    outcome, _ = run_it(programs(test=printing, score=scored()), mode="accuracy", program={"expect": expect})
    assert outcome.error is None
    assert time.monotonic() - started < 10


def test_verify_reads_patterns_that_a_container_wrote_in_a_bounded_time(tmp_path):
    (tmp_path / "console-score.log").write_text(("a" * 16_000 + "\n") * 50)
    figure = {"name": "top1", "unit": "%", "pattern": "^((a+)+)+(b)$"}
    started = time.monotonic()
    with pytest.raises(StepFailed, match="nothing says the accuracy"):
        read_figures_again(tmp_path, {"log": "console-score.log", "samples": 1, "figures": [figure]})
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("pattern", ["(?<=x)([0-9]+)", "((a?){1000}){30}", "acc=[0-9]+"])
def test_a_pattern_of_harness_json_that_cannot_be_searched_is_told(tmp_path, pattern):
    (tmp_path / "console-score.log").write_text("acc=1\n")
    figure = {"name": "top1", "unit": "%", "pattern": pattern}
    with pytest.raises(StepFailed) as caught:
        read_figures_again(tmp_path, {"log": "console-score.log", "samples": 1, "figures": [figure]})
    assert caught.value.slug == "no-accuracy"
