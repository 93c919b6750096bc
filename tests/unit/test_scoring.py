"""The container that counts an accuracy after the test: what it is given, and what is believed of it."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from results_parts import LOGS
from run_parts import a_run_environment, a_target, a_workload

from orchestrator.engines import ContainerExit
from orchestrator.facts import tasks
from orchestrator.facts.record import AccuracyGoal, ImageId, RecipeId
from orchestrator.facts.runs import TimeLimit
from orchestrator.host.process import this_process, this_user
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.scoring import COMMAND, is_scored
from orchestrator.plan.run.settings import Choices
from orchestrator.results.store import Store
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher

SCORING = "localhost/mlorch/accuracy:0123"
TOLD = {"version": 1, "accuracies": [{"metric": "auc", "value": 78.4, "unit": "%", "samples": 64}]}


def a_step(tmp_path: Path, mode: str):
    workload = replace(a_workload(target=a_target(capabilities=[])), scoring_image=SCORING)
    environment = a_run_environment(
        results=str(tmp_path), artifacts=str(tmp_path.parent / "artifacts"), user=this_user()
    )
    return plan_run(workload, environment, Cell(scenario="Offline", mode=mode), "20260101T000000Z-x", Choices())


def test_only_an_accuracy_is_counted_and_its_container_has_no_artefacts(tmp_path):
    assert a_step(tmp_path, "performance").scoring is None
    step = a_step(tmp_path, "accuracy")
    test, scoring = step.containers
    assert (scoring.image, scoring.command) == (SCORING, COMMAND)
    assert [mount.target for mount in scoring.mounts] == [
        mount.target for mount in test.mounts if mount.target != "/artifacts"
    ]
    assert (scoring.network, scoring.read_only, scoring.user) == ("none", True, test.user)
    assert scoring.name != test.name


def test_which_tasks_are_counted_by_a_container_of_their_own(monkeypatch):
    workload = a_workload()
    assert not is_scored(workload.benchmark, workload.harness)
    monkeypatch.setitem(tasks.TASKS, "image-classification", tasks.Task(arrays=(), units={"auc": "%"}))
    assert is_scored(workload.benchmark, workload.harness)


class Engine:
    """Runs a function in place of each container, the test first."""

    name = "fake"

    def __init__(self, test, scoring) -> None:
        self._inside = {"test": test, "scoring": scoring}
        self.stopped: list[str] = []

    def run(self, spec, on_line):
        results = Path(next(mount.source for mount in spec.mounts if mount.target == "/results"))
        status = self._inside["scoring" if spec.command == COMMAND else "test"](results, on_line)
        return ContainerExit(container_id="c", exit_code=status, out_of_memory=False)

    def stop(self, name):
        self.stopped.append(name)

    def deployed(self, _name):
        return None

    def containers(self, _label):
        return []


def ends_well(results: Path, _on_line) -> int:
    for log in (LOGS / "accuracy").iterdir():
        shutil.copy(log, results)
    (results / "harness.json").write_text(json.dumps({"version": 2, "status": "done", "accuracy": None}))
    return 0


def counted(results: Path, on_line) -> int:
    on_line("counted")
    (results / "accuracy.json").write_text(json.dumps(TOLD))
    return 0


@pytest.fixture
def run_it(tmp_path):
    def run(test, scoring, **changes):
        session = Session(name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch",))
        context = RecordContext(
            recipe=RecipeId(name="b", origin="builtin", sha256="0"),
            image=ImageId(reference="i"),
            accuracy_goal=AccuracyGoal(metric="auc", unit="%", reference=78.0, factor=0.99),
        )
        runner = Runner(engine=Engine(test, scoring), store=Store(tmp_path), session=session, watcher=Watcher())
        step = a_step(tmp_path, "accuracy")
        step = replace(
            step, settings={**step.settings, "dataset": {"samples": 64}}, **changes
        )  # as the recorded logs have it
        return runner.run(step, context)

    return run


def test_what_it_counted_is_the_accuracy_of_the_run(run_it):
    outcome = run_it(ends_well, counted)
    assert outcome.error is None
    accuracy = outcome.record.measured.accuracy
    assert (accuracy.name, accuracy.value, accuracy.samples, accuracy.reached) == ("auc", 0.784, 64, True)
    assert "counted" in (outcome.folder / "console-accuracy.log").read_text()


def test_one_that_fails_fails_the_run_and_says_why(run_it):
    def refuses(_results, on_line):
        on_line("the answers hold NaN")
        return 1

    outcome = run_it(ends_well, refuses)
    assert (outcome.error.slug, outcome.record.status) == ("accuracy-failed", "failed")
    assert "the answers hold NaN" in outcome.error.detail
    assert "console-accuracy.log" in outcome.error.hint


def test_one_that_says_nothing_for_long_is_not_stopped_for_it(run_it):
    def thinks(results, on_line):
        time.sleep(1.5)
        return counted(results, on_line)

    outcome = run_it(ends_well, thinks, limit=TimeLimit(total_s=60, silence_s=1))
    assert (outcome.error, outcome.record.measured.accuracy.value) == (None, 0.784)


def test_one_that_takes_longer_than_the_test_may_is_stopped(run_it):
    def hangs(_results, _on_line):
        time.sleep(1.5)
        return 137

    outcome = run_it(ends_well, hangs, limit=TimeLimit(total_s=1, silence_s=1))
    assert (outcome.error.slug, "after 1 s, its limit" in outcome.error.message) == ("timeout", True)


def test_what_the_test_itself_left_in_its_place_is_not_believed(run_it):
    def cheats(results, on_line):
        (results / "accuracy.json").write_text(json.dumps(TOLD))
        return ends_well(results, on_line)

    outcome = run_it(cheats, lambda _results, _on_line: 0)
    assert outcome.record.measured.accuracy is None
    assert outcome.record.measured.verdict == "FAILED"


def test_a_test_that_failed_is_not_counted(run_it):
    def never(_results, _on_line):
        raise AssertionError("nothing is to be counted")

    assert run_it(lambda _results, _on_line: 1, never).error.slug == "harness-failed"


def test_a_goal_stays_a_number_of_json_whatever_a_record_says():
    goal = AccuracyGoal(metric="top1", unit="", reference=1e300, factor=1e300, max_factor=-1e300)
    assert json.loads(json.dumps([goal.minimum, goal.maximum], allow_nan=False))
