"""A Server rate that was only a guess may be too high: it is halved and tried again, and nothing else is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from orchestrator.facts.record import Setting
from orchestrator.operations import run as run_flow
from orchestrator.plan.run.cells import Cell


class Machine:
    """Stands in for everything ready: a Server test is VALID up to `limit` queries a second."""

    def __init__(self, limit: float, *, source: str = "calibrated", first: float = 800.0) -> None:
        self.limit, self.source, self.first = limit, source, first
        self.rates: list[float] = []
        self.request = SimpleNamespace(find=False)
        self.scenario = "Server"

    def tests(self):
        yield None, Cell(scenario=self.scenario, mode="performance")

    def run(self, _planned, cell, *, number, total, calibrated=None):
        assert (number, total) == (1, 1)
        rate = (calibrated or {}).get("target_qps", self.first)
        self.rates.append(rate)
        record = SimpleNamespace(
            scenario=cell.scenario,
            valid=rate <= self.limit,
            settings={"loadgen.target_qps": Setting(value=rate, source=self.source)},
        )
        return SimpleNamespace(record=record, error=None)


def outcomes(machine: Machine, scenario: str = "Server"):
    machine.scenario = scenario
    return [outcome.record.valid for outcome in run_flow.outcomes(machine)]


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


@pytest.mark.parametrize("scenario", ["Offline", "SingleStream", "MultiStream"])
def test_other_scenarios_are_run_once(scenario):
    assert outcomes(Machine(10), scenario) == [False]


def test_find_says_what_it_does_where_there_is_no_rate_to_search():
    said = []
    machine = Machine(10)
    talk = SimpleNamespace(say=said.append)
    run_flow.say_what_is_not_searched(machine, talk)
    machine.scenario = "Offline"
    run_flow.say_what_is_not_searched(machine, talk)
    assert said == ["no rate to search in Offline: run once; later runs expect what that measures"]
