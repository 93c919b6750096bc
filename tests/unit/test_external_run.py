"""What becomes of a run of somebody else's harness, whatever the program does; with an engine made of a few lines."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from results_parts import LOGS
from run_parts import SHA, a_benchmark, a_run_environment, a_workload

from orchestrator.definitions.kinds.recipes import Harness
from orchestrator.engines import ContainerExit
from orchestrator.facts.record import ImageId, RecipeId, from_json
from orchestrator.host.process import this_process, this_user
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.results.store import Store
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher

PROGRAM = {
    "source": "/opt/theirs",
    "parameters": {"depth": {"type": "int", "default": "3"}},
    "files": [{"path": "user.conf", "format": "user.conf"}],
    "steps": [
        {"name": "compile", "role": "prepare", "argv": ["compile", "{model.file}"], "artifact": {"files": ["net.bin"]}},
        {"name": "test", "role": "run", "argv": ["test", "--depth={param.depth}"], "timeout": "1s"},
        {"name": "score", "role": "accuracy", "when": {"mode": "accuracy"}, "argv": ["score"]},
    ],
    "logs": {"folder": "logs/*"},
    "expect": {"console_has": ["^done$"], "console_lacks": ["^ERROR"]},
    "accuracy": {
        "step": "score",
        "figures": [{"name": "top1", "pattern": "^acc=([^%]+)%", "samples": "of ([0-9]+)", "unit": "%"}],
    },
}


def logs(results: Path, kind: str, folder: str = "logs/1") -> None:
    """LoadGen's logs of a real test, where the program leaves them."""
    (results / folder).mkdir(parents=True)
    for path in (LOGS / kind).iterdir():
        if path.name.startswith("mlperf_log_"):
            shutil.copyfile(path, results / folder / path.name)


@dataclass
class Programs:
    """Stands for the containers: a function for each step; keeps the specs that it was given."""

    steps: dict
    specs: list = field(default_factory=list)
    codes: dict = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, spec, on_line):
        self.specs.append(spec)
        name = spec.command[0]
        folders = {mount.target: Path(mount.source) for mount in spec.mounts}
        for mount in spec.mounts:
            if not mount.source.startswith(("/cache/m", "/cache/my")):
                assert Path(mount.source).exists(), mount
        self.steps[name](folders, on_line)
        code = 137 if self.stopped.is_set() else self.codes.get(name, 0)
        return ContainerExit(container_id=name, exit_code=code, out_of_memory=False)

    def stop(self, _container_id, _grace_s=10):
        self.stopped.set()

    def containers(self, _label):
        return []


def compiled(folders, on_line):
    (folders["/artifacts/compile"] / "net.bin").write_bytes(b"engine")
    on_line("compiled\n")


def leaving(kind="offline"):
    def test(folders, on_line):
        assert (folders["/artifacts/compile"] / "net.bin").read_bytes() == b"engine"
        logs(folders["/results"], kind)
        on_line("done\n")

    return test


def scored(text="acc=91.54% of 64\n"):
    return lambda _folders, on_line: on_line(text)


@pytest.fixture
def run_it(tmp_path):
    """Runs one test of the program whose steps do ``steps``; gives what came of it."""
    numbers = iter(range(100))

    def run(engine, *, mode="performance", program=None):
        harness = Harness.model_validate(
            {
                "kind": "harness", "form": "external", "name": "theirs", "title": "t", "loadgen": "l", "deps": "d",
                "code": "c", "backends": {"onnxruntime": "ort"}, "program": {**PROGRAM, **(program or {})},
            }
        )  # fmt: skip
        benchmark = a_benchmark(performance_samples=64, scenarios={"Offline": {"target_qps": 100}})
        workload = replace(a_workload(), harness=harness, benchmark=benchmark)
        folder = tmp_path / "results"
        folder.mkdir(exist_ok=True)
        environment = a_run_environment(results=str(folder), artifacts=str(tmp_path / "artifacts"), user=this_user())
        identifier = f"2026010{next(numbers)}T000000Z-x"
        step = plan_run(workload, environment, Cell(scenario="Offline", mode=mode), identifier, Choices())
        assert step.external is not None
        step = replace(step, external=replace(step.external, expected={"scenario": "Offline"}))
        session = Session(name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch", "run"))
        context = RecordContext(recipe=RecipeId(name="b", origin="builtin", sha256=SHA), image=ImageId(reference="i"))
        outcome = Runner(engine=engine, store=Store(folder), session=session, watcher=Watcher()).run(step, context)
        return outcome, from_json((outcome.folder / "run.json").read_text(), path="run.json")

    return run


def programs(test=None, score=None, compile_it=compiled, **more):
    return Programs({"compile": compile_it, "test": test or leaving(), "score": score or scored()}, **more)


def test_a_run_that_does_its_work_is_read_from_loadgens_logs_as_ours(run_it):
    outcome, record = run_it(programs())
    assert outcome.error is None
    assert (record.status, record.valid, record.measured.verdict) == ("done", True, "VALID")
    assert {"mlperf_log_detail.txt", "mlperf_log_summary.txt"} <= set(record.files)
    assert [(step.name, step.reused) for step in record.steps] == [("compile", False), ("test", False)]
    assert record.settings["parameters.depth"].value == 3


def test_an_artefact_is_made_once_and_mounted_read_only_for_the_test(run_it):
    engine = programs()
    run_it(engine)
    _, record = run_it(engine)
    assert [spec.command[0] for spec in engine.specs] == ["compile", "test", "test"]
    assert [(step.name, step.reused) for step in record.steps] == [("compile", True), ("test", False)]
    writable = {mount.target: not mount.read_only for mount in engine.specs[-1].mounts}
    assert writable["/artifacts/compile"] is False


def test_an_artefact_that_was_changed_on_the_disk_is_made_anew(run_it, tmp_path):
    engine = programs()
    run_it(engine)
    (made,) = (tmp_path / "artifacts/.made").rglob("net.bin")
    made.chmod(0o644)
    made.write_bytes(b"other!")
    run_it(engine)
    assert [spec.command[0] for spec in engine.specs] == ["compile", "test", "compile", "test"]


def test_two_runs_at_once_make_an_artefact_once(run_it):
    def slowly(folders, on_line):
        time.sleep(0.3)
        compiled(folders, on_line)

    engine = programs(compile_it=slowly)
    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(run_it(engine))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.error for outcome, _ in outcomes] == [None] * 3
    assert [spec.command[0] for spec in engine.specs].count("compile") == 1


def test_accuracy_is_what_the_second_container_said(run_it):
    outcome, record = run_it(programs(test=leaving("accuracy")), mode="accuracy")
    assert outcome.error is None
    assert record.measured.accuracy.value == 0.9154
    assert record.measured.accuracy.samples == 64


def failing(folders, on_line):
    on_line("about to fail\n")


def silent(_folders, on_line):
    on_line("done\n")


def unfinished(folders, _on_line):
    logs(folders["/results"], "offline")


def losing(folders, on_line):
    logs(folders["/results"], "offline")
    on_line("ERROR lost a batch\n")
    on_line("done\n")


@pytest.mark.parametrize(
    ("engine", "mode", "slug", "message"),
    [
        (programs(codes={"test": 3}), "performance", "harness-failed", "step `test` ended with status 3"),
        (programs(codes={"compile": 1}), "performance", "harness-failed", "step `compile` ended with status 1"),
        (programs(compile_it=failing), "performance", "artifact-missing", "the step did not make net.bin"),
        (programs(test=silent), "performance", "no-loadgen-logs", "left no mlperf_log_detail.txt"),
        (programs(test=losing), "performance", "console", "but printed `ERROR lost a batch`"),
        (programs(test=unfinished), "performance", "console", "no line of the output"),
        (programs(test=leaving("singlestream")), "performance", "other-settings", "SingleStream, not Offline"),
        (programs(test=leaving("accuracy"), score=scored("nothing\n")), "accuracy", "no-accuracy", "nothing says"),
        (programs(test=leaving("accuracy"), score=scored("acc=nan% of 64\n")), "accuracy", "no-accuracy", "`nan`"),
        (programs(test=leaving("accuracy"), codes={"score": 1}), "accuracy", "harness-failed", "step `score` ended"),
    ],
)
def test_a_program_that_did_not_do_its_work_is_told_with_what_it_did(run_it, engine, mode, slug, message):
    engine.specs.clear()
    outcome, record = run_it(engine, mode=mode)
    assert (outcome.error.slug, record.status, record.valid) == (slug, "failed", None)
    assert message in outcome.error.message
    assert record.error.slug == slug


def test_logs_in_several_folders_are_refused_unless_the_newest_is_asked_for(run_it):
    def twice(folders, on_line):
        logs(folders["/results"], "singlestream", "logs/1")
        logs(folders["/results"], "offline", "logs/2")
        old = time.time() - 100
        os.utime(folders["/results"] / "logs/1/mlperf_log_detail.txt", (old, old))
        on_line("done\n")

    outcome, _ = run_it(programs(test=twice))
    assert outcome.error.slug == "several-loadgen-logs"
    outcome, record = run_it(programs(test=twice), program={"logs": {"folder": "logs/*", "pick": "newest"}})
    assert outcome.error is None
    assert record.measured.loadgen.scenario == "Offline"


def test_a_link_in_place_of_a_log_or_a_folder_is_not_followed(run_it, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for path in (LOGS / "offline").iterdir():
        shutil.copyfile(path, tmp_path / "elsewhere" / path.name)

    def linking(folders, on_line):
        (folders["/results"] / "logs").mkdir()
        (folders["/results"] / "logs/1").symlink_to(tmp_path / "elsewhere")
        on_line("done\n")

    outcome, _ = run_it(programs(test=linking))
    assert outcome.error.slug == "no-loadgen-logs"


def test_a_file_that_mlorch_wrote_and_the_program_changed_spoils_the_run(run_it):
    def changing(folders, on_line):
        (folders["/results"] / "config").rename(folders["/results"] / "old")
        (folders["/results"] / "config").mkdir()
        (folders["/results"] / "config/user.conf").write_text("*.Offline.min_duration = 1\n")
        leaving()(folders, on_line)

    outcome, _ = run_it(programs(test=changing))
    assert outcome.error.slug == "config-changed"


def test_a_document_in_our_name_is_replaced(run_it):
    def forging(folders, on_line):
        (folders["/results"] / "harness.json").mkdir()
        (folders["/results"] / "mlperf_log_detail.txt").mkdir()
        leaving("accuracy")(folders, on_line)

    outcome, _ = run_it(programs(test=forging), mode="accuracy")
    assert outcome.error is None
    assert json.loads((outcome.folder / "harness.json").read_text())["accuracy"]["value"] == 0.9154


def test_a_step_beyond_its_time_is_stopped_and_told(run_it):
    engine = programs()

    def sleeping(_folders, on_line):
        on_line("sleeping\n")
        assert engine.stopped.wait(20)

    engine.steps["test"] = sleeping
    outcome, record = run_it(engine)
    assert outcome.error.slug == "timeout"
    assert "stopped after 1 s" in outcome.error.message
    assert record.status == "failed"
