"""`mlorch run --find` from its first test to what the next run finds; arithmetic stands in for containers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from orchestrator.definitions.kinds.servers import Role
from orchestrator.errors import StepFailed
from orchestrator.facts.measured import Metric
from orchestrator.facts.processors import Disturbance
from orchestrator.facts.record import Setting
from orchestrator.operations.run import findings
from orchestrator.operations.run.find import AGAIN, MARGIN, find_all
from orchestrator.plan.run.cells import Cell
from orchestrator.runs.rate_search import TOLERANCE

HERE = SimpleNamespace(system_id="here", allowed_cpus=(0, 1))


@dataclass
class Machine:
    """A prepared run whose Server tests are VALID up to ``limit`` queries a second, and fail above ``breaks``.

    ``others`` says of a test, by its number from 0, whether other programs disturbed it; ``spoils`` of its number and
    rate whether errors in LoadGen's log made it INVALID.
    """

    limit: float = 100.0
    breaks: float = float("inf")
    others: object = lambda _number: False
    spoils: object = lambda _number, _rate: False
    scenario: str = "Server"
    roles: dict = field(default_factory=dict)
    request: object = field(default_factory=lambda: SimpleNamespace(devices="", endpoint="", endpoint_model=""))
    environment: object = field(default_factory=lambda: SimpleNamespace(host=HERE, cpus=()))
    rates: list = field(default_factory=list)
    searches: list = field(default_factory=list)

    def __post_init__(self):
        benchmark = SimpleNamespace(roles=self.roles)
        load = SimpleNamespace(
            benchmark=benchmark, harness=SimpleNamespace(program=None), server_images={"s": "i"}, servers={}
        )
        plan = SimpleNamespace(benchmark="b", target="cpu", layers=[SimpleNamespace(content_id="c1")])
        self.planned = SimpleNamespace(workload=load, plan=plan)

    @property
    def tuned(self):
        return findings.findings(self.request, HERE)

    def stored(self, planned, scenario):
        return findings.stored(self, planned, scenario)

    def tests(self):
        yield self.planned, Cell(scenario=self.scenario, mode="performance")

    def run(self, planned, cell, *, number=1, search=None, system=None, searched=None):
        number, rate = len(self.rates), (searched or {}).get("target_qps", 40.0)
        self.rates.append(rate)
        self.searches.append(search)
        broken, others, spoiled = rate > self.breaks, self.others(number), self.spoils(number, rate)
        good = rate <= self.limit and not others
        values = {"instances": 1, "threads": 1, "batch": 4096, "cpus": [0]}
        settings = {f"execution.{name}": Setting(value=value, source="x") for name, value in values.items()}
        reached = min(rate, self.limit * 1.01)
        loadgen = SimpleNamespace(
            rate=reached,
            valid=good,
            latency_ns={"min": 10_000_000},
            query_count=1000,
            metrics=[Metric(name="completed_samples_per_second", title="", value=reached, unit="samples/s")],
        )
        record = SimpleNamespace(
            run_id=f"run-{number}", benchmark="b", scenario=cell.scenario, started=SimpleNamespace(utc="now"),
            settings=settings | {"loadgen.target_qps": Setting(value=rate, source="searched")},
            measured=None if broken else SimpleNamespace(loadgen=loadgen, reasons=("LoadGen logged 460 errors",)),
            valid=None if broken else good and not spoiled,
            disturbance=Disturbance(window="test", seconds=9.0, cpus=(0,), reasons=("somebody",) if others else ()),
        )  # fmt: skip
        return SimpleNamespace(record=record, error=StepFailed("it answers 429", slug="x") if broken else None)


@pytest.fixture
def find(tmp_path, monkeypatch):
    """Gives what is stored afterwards, and what was told."""
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path))
    (tmp_path / "data" / "systems").mkdir(parents=True)

    def run(machine: Machine):
        told: list[str] = []
        list(find_all(machine, SimpleNamespace(warn=told.append, say=told.append)))
        return machine.stored(machine.planned, machine.scenario), told

    return run


def test_what_is_stored_was_tested_and_keeps_its_margin(find):
    machine = Machine()
    kept, told = find(machine)
    assert kept.settings["target_qps"] == pytest.approx(machine.rates[-1], rel=1e-3)
    assert 100 * MARGIN / TOLERANCE**2 <= kept.settings["target_qps"] <= 100 * MARGIN
    assert kept.run_id == f"run-{len(machine.rates) - 1}"
    assert kept.settings["batch"] == 4096
    assert not told


def test_a_rate_is_measured_again_where_others_disturbed_its_test(find):
    quiet = Machine()
    find(quiet)
    last = len(quiet.rates) - 1
    machine = Machine(others=lambda number: number == last)
    kept, told = find(machine)
    assert len(machine.rates) == last + 2
    assert machine.rates[last] == machine.rates[last + 1], "at the same rate"
    assert kept.run_id == f"run-{last + 1}"
    assert not told


def test_no_rate_of_a_disturbed_test_is_stored_and_why_is_told(find, tmp_path):
    quiet = Machine()
    find(quiet)
    (tmp_path / "data" / "systems" / "here.json").unlink()
    last = len(quiet.rates) - 1

    class Valid(Machine):
        def run(self, *arguments, **more):
            outcome = super().run(*arguments, **more)
            outcome.record.valid = outcome.record.valid or bool(outcome.record.disturbance.reasons)
            return outcome

    machine = Valid(others=lambda number: number >= last)
    kept, told = find(machine)
    assert kept is None
    assert len(machine.rates) == last + 1 + AGAIN
    (line,) = told
    assert "b Server: nothing is kept" in line
    assert "somebody" in line


def test_no_rate_is_stored_at_which_the_queue_grew_though_its_test_was_valid(find, tmp_path):
    """The search asks for both; so does the test that confirms what it found."""
    quiet = Machine()
    find(quiet)
    (tmp_path / "data" / "systems" / "here.json").unlink()
    last = len(quiet.rates) - 1

    class Slower(Machine):
        def run(self, *arguments, **more):
            number = len(self.rates)
            outcome = super().run(*arguments, **more)
            if number == last:
                loadgen = outcome.record.measured.loadgen
                loadgen.metrics = [replace(one, value=one.value * 0.8) for one in loadgen.metrics]
            return outcome

    machine = Slower()
    kept, _ = find(machine)
    assert kept.settings["target_qps"] == pytest.approx(machine.rates[last + 1], rel=1e-3)
    assert machine.rates[last + 1] < machine.rates[last]


def test_an_expectation_is_measured_again_too(find):
    machine = Machine(scenario="Offline", others=lambda number: number == 0)
    kept, _ = find(machine)
    assert kept.run_id == "run-1"


def test_a_disturbed_test_does_not_make_the_search_look_below_it(find):
    """It is made again, and the search goes on from what that says."""
    machine = Machine(others=lambda number: number == 1)
    kept, _ = find(machine)
    assert machine.rates[1] == machine.rates[2]
    assert kept.settings["target_qps"] == pytest.approx(100 * MARGIN, rel=0.05)
    tries = machine.searches[-1].tries
    assert [one.disturbed for one in tries[:3]] == [False, True, False]


def test_a_test_that_errors_spoiled_is_not_too_fast_but_made_again(find):
    machine = Machine(spoils=lambda number, _rate: number in {0, 2})
    kept, told = find(machine)
    assert machine.rates[0] == machine.rates[1]
    assert machine.rates[2] == machine.rates[3] > machine.rates[1], "and the search goes on upwards"
    assert kept.settings["target_qps"] == pytest.approx(100 * MARGIN, rel=0.05)
    assert [one.spoiled for one in machine.searches[-1].tries[:4]] == [True, False, True, False]
    assert not told


def test_a_program_whose_tests_are_all_spoiled_ends_the_search_and_no_lower_rate_is_tried(find):
    machine = Machine(spoils=lambda _number, _rate: True)
    kept, told = find(machine)
    assert kept is None
    assert machine.rates == [40.0, 40.0]
    (line,) = told
    assert "no rate is kept" in line
    assert "LoadGen logged 460 errors" in line


def test_a_program_that_logs_errors_above_a_rate_has_its_limit_there(find):
    machine = Machine(spoils=lambda _number, rate: rate > 70)
    kept, _ = find(machine)
    assert kept.settings["target_qps"] == pytest.approx(70 * MARGIN, rel=0.05)
    assert "spoiled: at 7" in machine.searches[-1].stopped


def test_a_spoiled_test_of_the_rate_to_be_stored_is_made_again(find, tmp_path):
    quiet = Machine()
    find(quiet)
    last = len(quiet.rates) - 1
    (tmp_path / "data" / "systems" / "here.json").unlink()
    machine = Machine(spoils=lambda number, _rate: number == last)
    kept, told = find(machine)
    assert machine.rates[last] == machine.rates[last + 1]
    assert kept.run_id == f"run-{last + 1}"
    assert not told
    (tmp_path / "data" / "systems" / "here.json").unlink()
    machine = Machine(spoils=lambda number, _rate: number >= last)
    kept, told = find(machine)
    assert kept is None
    assert machine.rates[last:] == [machine.rates[last]] * (1 + AGAIN), "no other rate mends them"
    assert "LoadGen logged 460 errors" in told[0]


def test_a_server_that_refuses_what_is_too_much_has_its_limit_there(find):
    machine = Machine(limit=100, breaks=100)
    kept, _ = find(machine)
    assert kept.settings["target_qps"] == pytest.approx(100 * MARGIN, rel=0.05)
    assert "failed: at " in machine.searches[-1].stopped


def test_a_server_that_has_died_ends_the_search(find):
    class Dying(Machine):
        def run(self, *arguments, **more):
            if self.rates:
                self.breaks = 0.0
            return super().run(*arguments, **more)

    with pytest.raises(StepFailed, match="429"):
        find(Dying())


def an_endpoint(url="http://there:8000", model="m"):
    return SimpleNamespace(devices="", endpoint=url, endpoint_model=model)


def test_what_an_endpoint_takes_is_a_finding_of_that_endpoint_and_of_its_model(find):
    kept, _ = find(Machine(request=an_endpoint()))
    assert kept.settings.keys() == {"target_qps"}, "how this client asks is no finding"
    assert kept.endpoint == "m at http://there:8000"
    again = Machine(request=an_endpoint("http://there:8000/v1/"))
    assert again.stored(again.planned, "Server") == kept
    for other in (an_endpoint(model="n"), an_endpoint("http://there:8001"), Machine().request):
        machine = Machine(request=other)
        assert machine.stored(machine.planned, "Server") is None


def test_of_several_containers_the_servers_are_part_of_what_a_finding_holds_for(find):
    def served(**changes) -> Machine:
        return Machine(roles={"server": Role(server="s", **changes), "client": Role(cpus=1)})

    kept, _ = find(served())
    assert kept.settings.keys() == {"target_qps"}
    same = served()
    assert same.stored(same.planned, "Server") == kept
    more = served()
    more.environment.cpus = (0, 1, 2, 3)
    other_image = served()
    other_image.planned.workload.server_images = {"s": "another"}
    for one in (served(replicas=2), served(parameters={"threads": "3"}), other_image, more, Machine()):
        assert one.stored(one.planned, "Server") is None
