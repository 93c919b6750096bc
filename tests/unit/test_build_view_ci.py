"""A build and a run in the log of a CI system: a fold a layer, a fold a test, what the builder says inside."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from results_parts import add_run

from orchestrator.commands.build_view import BuildView
from orchestrator.commands.run_view import RunView, show
from orchestrator.console import Console
from orchestrator.engines import BuildEvent
from orchestrator.errors import StepFailed
from orchestrator.facts.build import BuildPlan, LayerStep
from orchestrator.facts.measured import Measured
from orchestrator.facts.record import Failure
from orchestrator.results.store import Store
from orchestrator.results.summary import summarise


@pytest.fixture
def github(monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return tmp_path / "summary.md"


def plan(*names: str) -> BuildPlan:
    steps = [
        LayerStep(name=name, level="base", platform="linux/amd64", content_id=name * 4, parent=None, dockerfile="")
        for name in names
    ]
    return BuildPlan(target="cpu", benchmark="b", platform="linux/amd64", framework="f", layers=tuple(steps))


def test_each_layer_that_is_built_is_a_fold_with_the_builders_words(github, capsys):
    one = plan("first", "second")
    first, second = one.layers
    with BuildView(Console(), one.layers) as view:
        view.layer(first, "build")
        view.event(first, BuildEvent(kind="log", step="RUN x", text="::add-mask::secret\n"))
        view.layer(first, "built")
        view.layer(second, "hit")
    *lines, built, end = capsys.readouterr().err.splitlines()
    assert lines == ["::group::first: build", "first   building", ": :add-mask::secret"]
    assert built.startswith("first   built in ")
    assert end == "::endgroup::"


def test_a_build_that_fails_ends_its_fold_first(github, capsys):
    one = plan("first")

    def build() -> None:
        with BuildView(Console(), one.layers) as view:
            view.layer(one.layers[0], "build")
            raise StepFailed("no")

    with pytest.raises(StepFailed):
        build()
    assert capsys.readouterr().err.splitlines()[-1] == "::endgroup::"


def test_a_test_that_is_done_stays_as_far_as_it_came_and_a_phase_has_no_total():
    import io

    from rich.console import Console as RichConsole
    from rich.progress import Progress

    step = SimpleNamespace(external=None, benchmark="image-fashion", scenario="Offline", name="performance")
    view = RunView(Console())
    view._progress = progress = Progress(console=RichConsole(file=io.StringIO()))
    view.begin(step, 1, 1)
    (task,) = progress.tasks
    view.event(step, {"event": "progress", "done": 5, "total": 20})
    view.event(step, {"event": "phase", "name": "test"})
    assert (task.total, task.completed) == (None, 0)
    view.event(step, {"event": "progress", "done": 20, "total": 20})
    view.event(step, {"event": "phase", "name": "done"})
    assert (task.percentage, task.fields["note"]) == (100, "done")


def test_each_test_is_a_fold_and_its_result_stands_outside(github, capsys, tmp_path):
    record, folder = add_run(Store(tmp_path / "results"), "offline")
    step = SimpleNamespace(external=None, benchmark="image-fashion", scenario="Offline", name="performance")
    with RunView(Console()) as view:
        view.begin(step, 1, 2)
        view.line(step, "##[error]of the container")
        view.end(step, SimpleNamespace(record=record, folder=folder))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "::group::[1/2] image-fashion Offline performance"
    assert lines[2:4] == ["  ## [error]of the container", "::endgroup::"]
    assert "VALID" in lines[4]


def test_the_results_are_a_table_in_the_summary(github, capsys, tmp_path):
    store = Store(tmp_path / "results")
    runs = [summarise(*add_run(store, case, second)) for second, case in enumerate(("offline", "server-invalid"))]
    show(Console(), runs, "results")
    text = github.read_text()
    assert "| image\\-fashion | Offline | performance |" in text
    assert "| INVALID |" in text
    assert "::warning title=mlorch::" in capsys.readouterr().err


def test_one_cause_of_several_tests_is_told_once_and_an_estimate_is_called_one(capsys, tmp_path):
    store = Store(tmp_path / "results")
    failed = Failure(slug="memory", message="it was killed for memory", hint="")
    runs = []
    for second, case in enumerate(("offline", "server", "singlestream")):
        record, folder = add_run(store, case, second)
        if case != "singlestream":
            record = replace(record, status="failed", valid=None, error=failed, measured=Measured(verdict="NO RESULT"))
        runs.append(summarise(record, folder))
    show(Console(), runs, "results")
    out, err = capsys.readouterr()
    assert err.count("it was killed for memory") == 1
    assert "warning: 2 tests: FAILED: it was killed for memory" in err
    assert err.count("a line of the harness") == 1
    assert all(str(run.folder / "console.log") in err for run in runs[:2])
    assert "result of SingleStream: 90th percentile latency (early-stopping estimate)" in out
