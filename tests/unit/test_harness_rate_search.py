"""The short search before a Server test: what it tries, what it takes, and when it leaves the guess; no clock."""

from __future__ import annotations

import random

import pytest

from orchestrator.harness.rate_search import (
    LONGEST_TRY,
    LOWER,
    MARGIN,
    SEARCH_SECONDS,
    Found,
    Try,
    confirm,
    search,
    seconds_for,
)
from orchestrator.runs.record import harness_search


class Machine:
    """Answers ``able`` queries a second, and counts the seconds that tries take."""

    def __init__(self, able: float, *, noise: float = 0.0, seed: int = 1) -> None:
        self.able, self.noise, self.spent = able, noise, 0.0
        self._random = random.Random(seed)

    def attempt(self, rate: float, seconds: float) -> Try:
        self.spent += seconds
        able = self.able * self._random.gauss(1.0, self.noise)
        return Try(rate, min(rate, able), in_time=rate < able)

    def left(self) -> float:
        return SEARCH_SECONDS - self.spent


@pytest.mark.parametrize("start", [200.0, 800.0, 1000.0, 3000.0, 20_000.0])
def test_a_bare_run_reaches_most_of_what_the_machine_can(start):
    machine = Machine(1000.0)
    found = search(start, machine.attempt, machine.left)
    assert found.rate is not None
    assert 0.85 * 1000 <= found.rate <= 1000
    assert machine.spent <= SEARCH_SECONDS


def test_the_rate_is_tried_for_longer_and_lowered_where_the_server_does_not_keep_up():
    found = Found(tries=[Try(1000.0, 1000.0, in_time=True)], best=1000.0)
    seen: list[tuple[float, float]] = []

    def attempt(rate: float, seconds: float) -> Try:
        seen.append((rate, seconds))
        return Try(rate, rate, in_time=next(able))

    able = iter([True])
    confirm(found, attempt, 3.0)
    assert found.rate == MARGIN * 1000, "the first one was good"
    able = iter([False, True])
    confirm(found, attempt, 3.0)
    assert found.rate == pytest.approx(MARGIN * LOWER * 1000)
    assert seen == [(920.0, 3.0), (920.0, 3.0), (pytest.approx(782.0), 3.0)]
    assert len(found.tries) == 4
    told = harness_search({"search": found.document()})
    assert told is not None
    assert told.margin == pytest.approx(MARGIN * LOWER, abs=0.001)


@pytest.mark.parametrize("found", [Found(), Found(best=30.0)])
def test_nothing_is_confirmed_where_a_try_would_say_nothing(found):
    confirm(found, lambda *_: pytest.fail("tried"), 3.0)
    assert not found.tries


@pytest.mark.parametrize("seed", range(20))
def test_noise_costs_little(seed):
    machine = Machine(1000.0, noise=0.03, seed=seed)
    found = search(800.0, machine.attempt, machine.left)
    assert found.rate is not None
    assert 780 < found.rate < 1000


def test_a_moment_of_other_load_is_tried_again():
    disturbed = [Try(800.0, 800.0, in_time=True), Try(1080.0, 1080.0, in_time=False)]
    machine = Machine(1200.0)

    def attempt(rate: float, seconds: float) -> Try:
        return disturbed.pop(0) if disturbed else machine.attempt(rate, seconds)

    found = search(800.0, attempt, machine.left)
    assert found.tries[2].rate == found.tries[1].rate
    assert found.best is not None
    assert found.best > 1080


def test_a_stall_is_not_taken_for_what_the_server_can_do():
    disturbed = [Try(800.0, 800.0, in_time=True), Try(1080.0, 100.0, in_time=False)]
    machine = Machine(1200.0)
    found = search(800.0, lambda *a: disturbed.pop(0) if disturbed else machine.attempt(*a), machine.left)
    assert found.best is not None
    assert found.best > 1080


def test_a_server_of_seconds_a_query_is_not_searched():
    found = search(5.0, Machine(5.0).attempt, lambda: 1000.0)
    assert found.rate is None
    assert not found.tries
    assert "too few" in found.ended


def test_without_time_the_guess_stays():
    found = search(800.0, Machine(1000.0).attempt, lambda: 0.1)
    assert found.rate is None
    assert found.ended == "the time was over"


def test_where_every_try_was_bad_the_guess_is_no_more_than_half_of_what_was_answered():
    found = search(800.0, Machine(1.0).attempt, lambda: 5.0)
    assert found.rate is None
    assert found.careful(400.0) == 0.5
    assert search(800.0, Machine(1000.0).attempt, lambda: 0.1).careful(400.0) == 400.0


def test_a_try_is_long_enough_for_its_percentile_and_never_longer_than_allowed():
    assert seconds_for(100_000) == 0.8
    assert seconds_for(200) == pytest.approx(1.5)
    assert seconds_for(1) == LONGEST_TRY


def test_the_record_tells_what_was_tried():
    machine = Machine(1000.0)
    found = search(800.0, machine.attempt, machine.left)
    told = harness_search({"search": found.document()})
    assert told is not None
    assert (told.by, told.best, told.margin) == ("harness", found.best, MARGIN)
    assert [one.rate for one in told.tries] == [round(one.rate, 3) for one in found.tries]
    assert told.tries[0].valid
    assert not told.tries[-1].valid or told.tries[-1].rate <= 1000


@pytest.mark.parametrize(
    "told",
    [
        None, [], "x", {}, {"tries": 1, "best": None, "margin": 1, "ended": ""},
        {"tries": [{"rate": "x", "answered": 1}], "best": 1, "margin": 1, "ended": ""},
        {"tries": [{"rate": 1, "answered": 1}] * 101, "best": 1, "margin": 1, "ended": ""},
        {"tries": [], "best": -1, "margin": 1, "ended": ""},
        {"tries": [], "best": float("nan"), "margin": 1, "ended": ""},
        {"tries": [], "best": 1, "margin": True, "ended": ""},
        {"tries": [], "best": 1, "margin": 1, "ended": 5},
    ],
)  # fmt: skip
def test_what_a_container_wrote_instead_is_left_out(told):
    assert harness_search({"search": told}) is None


def test_the_words_of_a_container_steer_no_terminal():
    told = harness_search({"search": {"tries": [], "best": None, "margin": None, "ended": "\x1b[2J\nx" * 100}})
    assert told is not None
    assert "\x1b" not in told.stopped
    assert "\n" not in told.stopped
    assert len(told.stopped) <= 200
