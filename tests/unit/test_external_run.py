"""What becomes of a run of somebody else's harness, whatever the program does; with an engine made of a few lines."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time

import pytest
from external_run_parts import PROGRAM, compiled, leaving, logs, make_run, programs, scored
from results_parts import LOGS

from orchestrator.commands.results_view import show_summary
from orchestrator.console import Console
from orchestrator.facts.record import AccuracyGoal
from orchestrator.results.report import render
from orchestrator.results.summary import document, summarise


@pytest.fixture
def run_it(tmp_path):
    return make_run(tmp_path)


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


ROUGE = {
    "accuracy": {
        "step": "score",
        "figures": [
            {"name": "words", "pattern": "words=([0-9.]+)", "unit": ""},
            {"name": "rouge1", "pattern": "rouge1=([0-9.]+)", "unit": "%"},
        ],
    }
}
ROUGE1 = AccuracyGoal(metric="rouge1", unit="%", reference=44.0, factor=0.99)
WORDS = AccuracyGoal(metric="words", unit="", reference=300.0, factor=0.9, max_factor=1.1)


@pytest.mark.parametrize(
    ("said", "verdict", "reasons"),
    [
        ("rouge1=43.9 words=310\n", "PASSED", ()),
        ("rouge1=40.0 words=310\n", "FAILED", ("rouge1: 40.00 % is below 43.56 %",)),
        ("rouge1=43.9 words=200\n", "FAILED", ("words: 200.0 is below 270.0",)),
        ("rouge1=43.9 words=400\n", "FAILED", ("words: 400.0 is above 330.0",)),
    ],
)
def test_accuracy_passes_only_where_every_figure_reaches_its_goal(run_it, said, verdict, reasons):
    engine = programs(test=leaving("accuracy"), score=scored(said))
    _, record = run_it(engine, mode="accuracy", program=ROUGE, goals=(ROUGE1, WORDS))
    assert (record.measured.verdict, record.measured.reasons) == (verdict, reasons)
    main, other = record.measured.accuracies
    assert (main.name, main.unit, other.name, other.unit) == ("rouge1", "fraction", "words", "")


def test_every_figure_and_its_goal_is_shown_and_in_the_json(run_it, capsys):
    engine = programs(test=leaving("accuracy"), score=scored("rouge1=43.9 words=400\n"))
    outcome, record = run_it(engine, mode="accuracy", program=ROUGE, goals=(ROUGE1, WORDS))
    summary = summarise(record, outcome.folder)
    show_summary(Console(), summary)
    shown = " ".join(capsys.readouterr().out.split())
    assert "rouge1 43.90 % of 10,000 samples (at least 43.56 %)" in shown
    assert "words 400.0 of 10,000 samples (at least 270.0, at most 330.0)" in shown
    metrics = document(summary)["metrics"]
    assert (metrics["accuracy"]["value"], metrics["accuracy"]["reached"]) == (0.439, True)
    (words,) = metrics["other_accuracies"]
    assert (words["value"], words["unit"], words["maximum"], words["reached"]) == (400.0, "", 330.0, False)
    assert "at least 270.0, at most 330.0" in render([summary])


def test_a_figure_without_a_goal_is_kept_and_decides_nothing(run_it):
    engine = programs(test=leaving("accuracy"), score=scored("rouge1=43.9 words=400\n"))
    _, record = run_it(engine, mode="accuracy", program=ROUGE, goals=(ROUGE1,))
    assert (record.measured.verdict, record.measured.other_accuracies[0].value) == ("PASSED", 400.0)


def test_the_trace_of_loadgen_is_kept_unless_the_recipe_does_without(run_it):
    def tracing(folders, on_line):
        leaving()(folders, on_line)
        (folders["/results"] / "logs/1/mlperf_log_trace.json").write_text("[]")

    _, record = run_it(programs(test=tracing))
    assert "mlperf_log_trace.json" in record.files
    _, record = run_it(programs(test=tracing), program={"logs": {"folder": "logs/*", "trace": False}})
    assert not any("trace" in name for name in record.files)


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
        (programs(test=losing), "performance", "console", "printed `ERROR lost a batch` and was stopped"),
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
    accuracy = json.loads((outcome.folder / "harness.json").read_text())["accuracy"]
    assert (accuracy["value"], accuracy["unit"]) == (91.54, "%")


def test_a_program_that_fails_and_would_wait_for_ever_is_stopped(run_it):
    engine = programs()

    def hanging(_folders, on_line):
        on_line("ERROR lost a sample\n")
        assert engine.stopped.wait(20)

    engine.steps["test"] = hanging
    steps = [{**step, "timeout": "1h"} for step in PROGRAM["steps"]]
    outcome, _ = run_it(engine, program={"steps": steps})
    assert outcome.error.slug == "console"
    assert "printed `ERROR lost a sample` and was stopped" in outcome.error.message


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


@pytest.mark.parametrize("mode", ["performance", "accuracy"])
def test_a_program_that_runs_over_other_samples_than_the_data_set_has_is_told_with_both_numbers(run_it, mode):
    kind = "offline" if mode == "performance" else "accuracy"
    outcome, record = run_it(programs(test=leaving(kind)), mode=mode, samples=10_000)
    assert (outcome.error.slug, record.status, record.valid) == ("sample-count", "failed", None)
    assert "told LoadGen of 64 samples, and the data set has 10,000" in outcome.error.message
    outcome, _ = run_it(programs(test=leaving(kind)), mode=mode, samples=64)
    assert outcome.error is None
