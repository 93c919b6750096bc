"""`mlorch tune`: what is searched, tried and kept; arithmetic stands in for containers, Optuna is the real one."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from orchestrator.definitions.kinds.parameters import Parameter
from orchestrator.definitions.kinds.tunables import Tunable
from orchestrator.errors import StepFailed, UsageError
from orchestrator.facts.processors import Disturbance
from orchestrator.facts.record import RateSearch, Setting
from orchestrator.operations.tune import Budget, _measurable, tried
from orchestrator.operations.tune_study import LONG_MS, SHORT_MS, Study
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.tunables import fitting, searched_parameters
from orchestrator.plan.run.workload import ChosenParameter
from orchestrator.runs import trials, tuning

pytest.importorskip("optuna")

DECLARED = {
    "instances": Tunable(max="cpus"),
    "threads": Tunable(max="cpus"),
    "batch": Tunable(max=256, log=True),
    "batch_delay_us": Tunable(choices=("0", "500"), scenarios=("Server",)),
    "precision": Tunable(choices=("f32", "bf16"), backends=("openvino",), exact=False),
}
CPUS = 4


def workload(*, backend="onnxruntime", fixed=None, program=None, parameters=None):
    harness = SimpleNamespace(
        program=program and SimpleNamespace(parameters=program), tunables=DECLARED, backends={"f": backend}
    )
    scenario = SimpleNamespace(**(fixed or {}))
    benchmark = SimpleNamespace(scenarios={"Offline": scenario, "Server": scenario}, generation=None, roles={})
    return SimpleNamespace(harness=harness, benchmark=benchmark, framework="f", parameters=parameters or {})


# -- what is declared ----------------------------------------------------------------------


def test_what_a_recipe_declares_is_searched_where_it_matters():
    def names(**words):
        scenario = words.pop("scenario", "Offline")
        return [one.name for one in searched_parameters(workload(**words), scenario, CPUS)]

    assert names() == ["instances", "threads", "batch"]
    assert names(scenario="Server") == ["instances", "threads", "batch", "batch_delay_us"]
    assert names(backend="openvino") == ["instances", "threads", "batch", "precision"]
    assert names(fixed={"batch": 8}) == ["instances", "threads"]


def test_one_processor_leaves_no_layout_to_search():
    assert [one.name for one in searched_parameters(workload(), "Offline", 1)] == ["batch"]


def test_of_a_program_the_parameters_that_say_so_but_none_that_the_command_line_sets():
    program = {
        "threads": Parameter(type="int", default="{cpus}", tune=Tunable(max="cpus")),
        "mode": Parameter(default="a", choices=("a", "b", "c"), tune=Tunable(choices=("a", "b"), exact=False)),
        "path": Parameter(default="{data}/x"),
    }
    found = searched_parameters(workload(program=program), "Offline", CPUS)
    assert [(one.name, one.of_program, one.exact) for one in found] == [("threads", True, True), ("mode", True, False)]
    said = {"threads": ChosenParameter(value="2", source="command line")}
    found = searched_parameters(workload(program=program, parameters=said), "Offline", CPUS)
    assert [one.name for one in found] == ["mode"]


@pytest.mark.parametrize(
    "fields",
    [{}, {"max": 4, "choices": ("a",)}, {"max": 2, "min": 3}, {"min": 0, "max": 4, "log": True},
     {"choices": ("a", "a")}, {"choices": ("a b",)}, {"max": "gpus"}, {"choices": ("a",), "log": True}],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused(fields):
    with pytest.raises(ValidationError):
        Tunable(**fields)


@pytest.mark.parametrize(
    "fields",
    [{"type": "float", "default": "1", "tune": Tunable(max=4)},
     {"default": "a", "choices": ("a", "b"), "tune": Tunable(choices=("a", "c"))},
     {"type": "int", "default": "1", "max": 8, "tune": Tunable(max=16)},
     {"type": "int", "default": "1", "min": 2, "tune": Tunable(max=4)}],
)  # fmt: skip
def test_a_program_is_never_asked_for_what_it_does_not_take(fields):
    with pytest.raises(ValidationError):
        Parameter(**fields)


def test_a_layout_is_made_to_fit():
    assert fitting({"instances": 2, "threads": 4, "batch": 8}, 4) == {"instances": 2, "threads": 2, "batch": 8}
    assert fitting({"instances": 1, "threads": 3}, 4) == {"instances": 1, "threads": 3}
    assert fitting({"threads": 9}, 4) == {"threads": 9}


# -- the search ----------------------------------------------------------------------------


@dataclass
class Machine:
    """A prepared run whose tests are arithmetic: `speed` of the values that a test was told."""

    speed: object
    calibrated: dict = field(default_factory=lambda: {"instances": 4, "threads": 1, "batch": 4})
    accurate: object = None
    fails_at: int = 0
    scenario: str = "Offline"
    limit: float = float("inf")
    """Of the rate at which a whole test of Server is VALID."""
    disturbed_by: tuple[str, ...] = ()
    rates: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    request: object = field(default_factory=lambda: SimpleNamespace(devices="", endpoint=""))
    environment: object = field(default_factory=lambda: SimpleNamespace(host=SimpleNamespace(system_id="sys")))

    def run(self, _planned, cell, *, number=1, note="", system=None, parameters=None, min_duration_ms=None, **changes):
        told = {name: value for name, value in (system or {}).items() if name != "cpus"} | (parameters or {})
        self.asked.append((cell.mode, min_duration_ms, told))
        if self.fails_at and len(self.asked) == self.fails_at:
            raise StepFailed("killed", slug="test")
        values = {**self.calibrated, **told}
        rate = self.speed(values)
        driven = (changes.get("searched") or {}).get("target_qps", 0.9 * rate)
        valid = cell.mode == "performance" and driven <= self.limit
        reached = self.accurate is None or self.accurate(values)
        if cell.mode == "accuracy":
            measured = SimpleNamespace(verdict="PASSED" if reached else "FAILED", loadgen=None)
        else:
            loadgen = SimpleNamespace(rate=rate, latency_ns={"p90": 1e9 / rate, "mean": 1e9 / rate}, valid=valid)
            measured = SimpleNamespace(verdict="VALID", loadgen=loadgen)
        settings = {f"execution.{name}": Setting(value=value, source="x") for name, value in values.items()}
        settings["execution.cpus"] = Setting(value=list(range(CPUS)), source="system")
        if cell.scenario == "Server":
            settings["loadgen.target_qps"] = Setting(value=driven, source="searched")
            self.rates += [driven] if min_duration_ms is None else []
        record = SimpleNamespace(
            run_id=f"run-{len(self.asked)}", settings=settings, measured=measured, scenario=cell.scenario,
            valid=valid,
            disturbance=Disturbance(window="test", seconds=9.0, cpus=(0,), reasons=self.disturbed_by),
            started=SimpleNamespace(utc="2026-11-28T00:00:00Z"), search=RateSearch(by="harness", best=rate * 0.9),
        )  # fmt: skip
        return SimpleNamespace(record=record, error=None)


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path))
    (tmp_path / "data" / "systems").mkdir(parents=True)

    def make(machine: Machine, *, scenario="Offline", backend="onnxruntime") -> Study:
        plan = SimpleNamespace(benchmark="b", target="cpu", layers=[SimpleNamespace(content_id="c1")])
        about = workload(backend=backend)
        return Study(
            prepared=machine,
            planned=SimpleNamespace(workload=about, plan=plan),
            cell=Cell(scenario=scenario, mode="performance"),
            cpus=CPUS,
            parameters=searched_parameters(about, scenario, CPUS),
            key=tuning.key_of("b", "cpu", scenario),
            content_id="c1",
            file=trials.trials_file(tmp_path / "data", "sys"),
        )

    return make


def by_batch(values) -> float:
    """Best with four instances of one thread and batches of about 32."""
    return 1000 * values["instances"] ** 0.9 * values["threads"] ** 0.4 / (1 + abs(values["batch"] - 32) / 40)


FOREVER = float("inf")


def stored(tmp_path, scenario="Offline"):
    return tuning.load(tuning.tuning_file(tmp_path / "data", "sys")).get(f"b/cpu/{scenario}")


def test_it_finds_what_is_better_than_what_calibration_chose(study, tmp_path):
    machine = Machine(by_batch)
    told = study(machine).run(20, 1, FOREVER)
    first, best = told.trials[0], max(one.value or 0.0 for one in told.trials)
    assert first.parameters == machine.calibrated, "the first trial is what a run has without tuning"
    assert best > 1.2 * first.value
    kept = stored(tmp_path)
    assert kept == told.kept
    assert by_batch(kept.settings) == best
    assert kept.by == "tune"
    assert kept.settings["cpus"] == CPUS
    assert kept.settings["target_qps"] == pytest.approx(best, rel=1e-3)
    assert told.run_id == kept.run_id


def test_no_parameters_are_tried_twice_and_all_fit(study):
    machine = Machine(by_batch)
    told = study(machine).run(15, 1, FOREVER)
    made = [tuple(sorted(one.parameters.items())) for one in told.trials]
    assert len(set(made)) == len(made) == 15
    assert all(one.parameters["instances"] * one.parameters["threads"] <= CPUS for one in told.trials)


def test_hopeless_trials_end_after_their_short_test(study):
    machine = Machine(by_batch)
    told = study(machine).run(20, 1, FOREVER)
    states = [one.state for one in told.trials]
    assert "pruned" in states
    assert "pruned" not in states[:5]
    tests = [duration for mode, duration, _ in machine.asked if mode == "performance" and duration]
    assert tests.count(LONG_MS) == states.count("done")
    assert tests.count(SHORT_MS) == len(told.trials) - 1
    best = max(one.value for one in told.trials if one.state == "done")
    assert all(one.first < best for one in told.trials if one.state == "pruned")


def test_the_seed_decides_what_is_tried(study, tmp_path):
    def made(seed):
        trials.trials_file(tmp_path / "data", "sys").unlink(missing_ok=True)
        return [one.parameters for one in study(Machine(by_batch)).run(8, seed, FOREVER).trials]

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_a_search_that_was_killed_goes_on(study, tmp_path):
    with pytest.raises(StepFailed, match="killed"):
        study(Machine(by_batch, fails_at=6)).run(10, 1, FOREVER)
    file = trials.trials_file(tmp_path / "data", "sys")
    before = trials.load(file)
    assert len(before) == 3, "the first trial is one test, each further one two"
    with file.open("a") as out:
        out.write('{"key": "b/cpu/Off')  # the kill came in the middle of a line
    told = study(Machine(by_batch)).run(4, 1, FOREVER)
    assert list(told.trials[:3]) == before
    assert len(told.trials) == 7
    assert trials.load(file) == list(told.trials)
    made = [tuple(sorted(one.parameters.items())) for one in told.trials]
    assert len(set(made)) == 7


def test_what_was_tried_with_another_image_does_not_count(study, tmp_path):
    one = study(Machine(by_batch))
    one.run(3, 1, FOREVER)
    other = study(Machine(by_batch))
    other.content_id = other.planned.plan.layers[0].content_id = "c2"
    assert len(other.run(3, 1, FOREVER).trials) == 3
    shown = tried(tmp_path / "data", "sys")
    assert [(one.content_id, len(one.trials), one.kept is not None) for one in shown] == [
        ("c1", 3, False),
        ("c2", 3, True),
    ]
    assert tried(tmp_path / "data", "sys", ("nothing",)) == []


def test_no_trial_is_begun_after_the_time(study):
    machine = Machine(by_batch)
    told = study(machine).run(10, 1, 0.0)
    assert not machine.asked
    assert told.kept is None
    assert told.why == "no trial measured anything"


def test_a_precision_is_kept_only_if_the_accuracy_holds(study, tmp_path):
    """bf16 is quicker, and wrong: the best of f32 is kept, and what bf16 did is told."""
    machine = Machine(
        lambda values: by_batch(values) * (2 if values.get("precision") == "bf16" else 1),
        accurate=lambda values: values.get("precision") != "bf16",
    )
    told = study(machine, backend="openvino").run(16, 1, FOREVER)
    assert told.kept.settings["precision"] == "f32"
    assert ("accuracy", None) in {(mode, duration) for mode, duration, _ in machine.asked}
    lost = [one for one in trials.load(trials.trials_file(tmp_path / "data", "sys")) if one.accuracy == "FAILED"]
    assert lost
    assert all(one.state == "failed" and "bf16" in one.why for one in lost)
    assert any(one.accuracy == "PASSED" for one in told.trials)


def test_streams_are_searched_for_the_least_latency(study):
    machine = Machine(by_batch)
    told = study(machine, scenario="SingleStream").run(12, 1, FOREVER)
    done = [one for one in told.trials if one.state == "done"]
    assert {one.unit for one in done} == {"ns"}
    assert 1e9 / by_batch(told.kept.settings) == pytest.approx(min(one.value for one in done))
    assert "expected_latency_ns" in told.kept.settings


def test_of_a_server_the_highest_rate_counts_and_the_next_run_searches_its_own(study):
    told = study(Machine(by_batch), scenario="Server").run(8, 1, FOREVER)
    best = max(one.value for one in told.trials if one.state == "done")
    assert best == pytest.approx(0.9 * by_batch(told.kept.settings))
    assert "target_qps" not in told.kept.settings
    assert told.kept.settings["batch_delay_us"] in {0, 500}


def test_the_best_is_confirmed_at_a_lower_rate_where_its_own_was_too_much(study):
    """What short tests kept up with is too much for a whole test; the layout is the best all the same."""
    best = 0.9 * max(by_batch({"instances": i, "threads": t, "batch": 32}) for i, t in ((4, 1), (2, 2), (1, 4)))
    machine = Machine(by_batch, limit=best * 0.7)
    told = study(machine, scenario="Server").run(12, 1, FOREVER)
    first, second = machine.rates
    assert second == pytest.approx(0.8 * first)
    assert told.kept is not None


def test_a_best_that_no_rate_makes_valid_is_not_kept(study):
    machine = Machine(by_batch, limit=1.0)
    told = study(machine, scenario="Server").run(3, 1, FOREVER)
    assert len(set(machine.rates)) == len(machine.rates) == 3
    assert (told.kept, told.why) == (None, "the tests that should confirm the best trial were not VALID")


def test_what_a_disturbed_test_measured_is_no_expectation_of_the_next_run(study):
    kept = study(Machine(by_batch, disturbed_by=("other programs",))).run(3, 1, FOREVER).kept
    assert "target_qps" not in kept.settings
    assert "batch" in kept.settings


def test_a_scenario_whose_rate_no_trial_measures_is_left_out_and_refused_where_it_was_asked_for():
    about = workload()
    about.benchmark.generation = object()
    planned = SimpleNamespace(workload=about, plan=SimpleNamespace(benchmark="llm"))
    said: list[str] = []
    progress = SimpleNamespace(say=said.append)

    def measurable(scenario, *asked):
        cell = Cell(scenario=scenario, mode="performance")
        return _measurable(planned, cell, SimpleNamespace(scenarios=asked), progress)

    assert measurable("Offline")
    assert not measurable("Interactive")
    assert said == ["Interactive of `llm` has no rate that a trial could measure: it is not tuned"]
    with pytest.raises(UsageError, match="no rate that a trial could measure"):
        measurable("Server", "Server")


@pytest.mark.parametrize(("trials_", "time"), [(0, None), (-1, None), (5, "soon"), (5, "10x")])
def test_what_is_no_budget_is_refused(trials_, time):
    with pytest.raises(UsageError):
        Budget(trials=trials_, time=time).checked()


def test_where_nothing_is_left_to_search_nothing_is():
    assert searched_parameters(workload(fixed={"batch": 1}), "Offline", 1) == ()
