"""Rates that were only guessed: Server's is halved, Offline's raised, and nothing else is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from orchestrator.facts.record import Setting
from orchestrator.operations.run import order as run_flow
from orchestrator.operations.run.plan import say_what_is_not_searched
from orchestrator.operations.run.rates import next_settings
from orchestrator.plan.run.cells import Cell


class Machine:
    """Stands in for everything ready: a Server test is VALID up to `limit` queries a second."""

    def __init__(self, limit: float, *, source: str = "calibrated", first: float = 800.0, external=False) -> None:
        self.limit, self.source, self.first, self.external = limit, source, first, external
        self.rates: list[float] = []
        self.request = SimpleNamespace(find=False)
        self.compared = {}
        self.scenario = "Server"
        self.spoiled = False
        """Whether LoadGen logs errors, or a server ends: then VALID counts as not good."""

    def tests(self):
        harness = SimpleNamespace(program=object() if self.external else None)
        benchmark = SimpleNamespace(scenarios={"Offline": None, "Server": None})
        planned = SimpleNamespace(
            workload=SimpleNamespace(harness=harness, benchmark=benchmark), plan=SimpleNamespace(benchmark="b")
        )
        yield planned, Cell(scenario=self.scenario, mode="performance")

    def step(self, _planned, _cell):
        return SimpleNamespace(settings={"loadgen": {"target_qps": None}})

    def run(self, _planned, cell, *, number=1, total=0, calibrated=None, searched=None, note="", min_duration_ms=None):
        assert ((number, total) == (1, 1)) is (note == "")
        assert searched is None or self.source == "searched"
        rate = (calibrated or searched or {}).get("target_qps", self.first)
        self.rates.append(rate)
        valid = rate >= self.limit if cell.scenario == "Offline" else rate <= self.limit
        record = SimpleNamespace(
            scenario=cell.scenario,
            valid=valid and not self.spoiled,
            settings={"loadgen.target_qps": Setting(value=rate, source=self.source)},
            is_external=self.external,
            measured=SimpleNamespace(loadgen=SimpleNamespace(rate=self.reaches(rate), valid=valid)),
        )
        return SimpleNamespace(record=record, error=None)

    def reaches(self, rate: float) -> float:
        """Offline measures more the longer its query is, up to the limit and a tenth."""
        return min(self.limit * 1.1, rate * 8)


def outcomes(machine: Machine, scenario: str = "Server"):
    machine.scenario = scenario
    return [outcome.record.valid for outcome in run_flow.outcomes(machine, SimpleNamespace())]


@pytest.mark.parametrize(
    ("limit", "verdicts", "rates"),
    [
        (1000, [True], [800]),
        (500, [False, True], [800, 400]),
        (250, [False, False, True], [800, 400, 200]),
        (10, [False, False, False], [800, 400, 200]),
    ],
)
def test_a_guess_that_is_too_high_is_halved_twice_at_most(limit, verdicts, rates):
    machine = Machine(limit)
    assert outcomes(machine) == verdicts
    assert machine.rates == rates


@pytest.mark.parametrize("source", ["command line", "system", "recipe"])
def test_a_rate_that_somebody_chose_is_never_changed(source):
    machine = Machine(10, source=source)
    assert outcomes(machine) == [False]


@pytest.mark.parametrize("scenario", ["Server", "Offline"])
def test_a_test_that_loadgen_calls_valid_and_errors_spoiled_is_not_tried_at_another_rate(scenario):
    machine = Machine(800)
    machine.spoiled = True
    assert outcomes(machine, scenario) == [False]


@pytest.mark.parametrize("scenario", ["SingleStream", "MultiStream"])
def test_scenarios_without_a_rate_are_run_once(scenario):
    assert outcomes(Machine(10), scenario) == [False]


def test_find_says_what_it_does_where_there_is_no_rate_to_search():
    said = []
    machine = Machine(10)
    talk = SimpleNamespace(say=said.append)
    say_what_is_not_searched(machine, talk)
    machine.scenario = "Offline"
    say_what_is_not_searched(machine, talk)
    assert said == ["no rate to search in Offline: run once; later runs expect what that measures"]


def test_a_program_that_does_not_measure_its_rate_is_measured_before_its_test():
    machine = Machine(300, external=True)
    assert outcomes(machine, "Offline") == [True]
    probe, test = machine.rates
    assert probe < 64
    assert test == pytest.approx(300 * 1.1 * 1.05)


@pytest.mark.parametrize("external", [True, False])
def test_an_offline_query_that_was_too_short_is_made_longer(external):
    machine = Machine(3000, external=external)
    assert outcomes(machine, "Offline") == [False, True]


def test_an_offline_query_that_was_long_enough_is_not_tried_again():
    """INVALID for another reason: a longer query would not help."""
    machine = Machine(3000, first=900.0)
    machine.reaches = lambda rate: rate * 0.9
    assert outcomes(machine, "Offline") == [False]


def test_a_server_test_begins_at_a_share_of_what_offline_reaches_and_is_halved_where_it_is_too_much():
    machine = Machine(100, external=True)
    machine.reaches = lambda _rate: 400.0
    assert outcomes(machine, "Server") == [False, True]
    assert machine.rates[1:] == [160.0, 80.0]


def stream(mean: float, told: Setting | None, *, external=True, valid=False, said=None):
    """A SingleStream test of somebody else's program that had ``mean`` nanoseconds a query."""
    record = SimpleNamespace(
        scenario="SingleStream",
        valid=valid,
        settings={"loadgen.expected_latency_ns": told} if told else {},
        is_external=external,
        measured=SimpleNamespace(
            loadgen=SimpleNamespace(latency_ns={"mean": mean}, valid=valid if said is None else said)
        ),
    )
    return SimpleNamespace(record=record, error=None)


@pytest.mark.parametrize(
    ("outcome", "settings"),
    [
        (stream(400_000, None), {"expected_latency_ns": 200_000}),
        (stream(400_000, Setting(value=None, source="default")), {"expected_latency_ns": 200_000}),
        (stream(400_000, Setting(value=300_000, source="calibrated")), {"expected_latency_ns": 200_000}),
        (stream(400_000, Setting(value=200_000, source="calibrated")), {}),
        (stream(400_000, Setting(value=900_000, source="recipe")), {}),
        (stream(400_000, Setting(value=900_000, source="command line")), {}),
        (stream(400_000, None, valid=True), {}),
        (stream(400_000, None, said=True), {}),
        (stream(400_000, None, external=False), {}),
        (stream(0, None), {}),
    ],
)
def test_a_stream_that_was_told_no_latency_is_told_what_it_just_had(outcome, settings):
    assert next_settings(outcome) == ({"calibrated": settings} if settings else {})


def test_a_searched_rate_that_was_invalid_gives_way_by_less_than_a_guess():
    machine = Machine(700, source="searched")
    assert outcomes(machine) == [False, True]
    assert machine.rates == [800.0, 640.0]
    machine = Machine(400, source="searched")
    assert outcomes(machine) == [False, False, True]
    assert machine.rates == [800.0, 640.0, 384.0]
