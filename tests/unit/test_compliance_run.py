"""A compliance test as it runs: what verifies it, and what is believed of that."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from results_parts import LOGS
from run_parts import a_run_environment, a_workload

from orchestrator.engines import ContainerExit
from orchestrator.facts.compliance import ComparedRun, ComplianceTest, PlannedCompliance
from orchestrator.facts.containers import ContainerSpec
from orchestrator.facts.measured import LoadGenResult
from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.facts.record_file import from_json, to_json
from orchestrator.host.clock import now
from orchestrator.host.files import sha256_file
from orchestrator.host.process import this_process, this_user
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.compared import is_same_test, settings_that_ran
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.results.compliance import verified
from orchestrator.results.report import render
from orchestrator.results.store import Store
from orchestrator.results.summary import document, row, summarise
from orchestrator.results.verify.verification import verify
from orchestrator.runs.record import RecordContext, Session, compliance_fact, first_record, with_effective
from orchestrator.runs.runner import Runner, Watcher
from orchestrator.runs.verification import audit_failure

IMAGE = "localhost/mlorch/compliance:0123"
TEST01 = ComplianceTest(
    name="TEST01",
    round="v6.1",
    audit={"mode": 2, "accuracy_log_sampling_target": 0},
    compared_with=("performance",),
    command=("python3", "/verify.py", "{results}", "{test}", "{output}"),
    files=("verify_accuracy.txt", "verify_performance.txt"),
    passes={"verify_accuracy.txt": "TEST PASS", "verify_performance.txt": "TEST PASS"},
)


class Engine:
    """Runs a function in place of each container, the test first."""

    name = "fake"

    def __init__(self, test, verification) -> None:
        self._test, self._verification = test, verification

    def run(self, spec, on_line):
        place = {mount.target: Path(mount.source) for mount in spec.mounts}
        if spec.image == IMAGE:
            status = self._verification(place["/output"] / "TEST01", on_line)
        else:
            status = self._test(place["/results"], on_line)
        return ContainerExit(container_id="c", exit_code=status, out_of_memory=False)

    def deployed(self, _name):
        return None

    def containers(self, _label):
        return []


def a_valid_test(results: Path, _on_line) -> int:
    for log in (LOGS / "offline").iterdir():
        shutil.copy(log, results)
    (results / "harness.json").write_text(json.dumps({"version": 2, "status": "done", "accuracy": None}))
    return 0


def says(accuracy: str | None, performance: str | None, *, prints: str = "", status: int = 0):
    """A script that leaves these texts."""

    def verification(output: Path, on_line) -> int:
        output.mkdir()
        for name, text in (("verify_accuracy.txt", accuracy), ("verify_performance.txt", performance)):
            if text is not None:
                (output / name).write_text(text)
        for line in prints.splitlines():
            on_line(line)
        return status

    return verification


PASSES = "Reading accuracy mode results...\nTEST PASS\n\n"


@pytest.fixture
def compared(tmp_path) -> ComparedRun:
    folder = tmp_path / "performance"
    shutil.copytree(LOGS / "offline", folder)
    names = ("mlperf_log_detail.txt", "mlperf_log_summary.txt")
    return ComparedRun(
        mode="performance",
        run_id="20260101T000000Z-p",
        folder=str(folder),
        files={name: sha256_file(folder / name) for name in names},
    )


@pytest.fixture
def run_it(tmp_path, compared):
    def run(verification, *, test=a_valid_test, audit=None):
        made = TEST01 if audit is None else replace(TEST01, audit=audit)
        workload = a_workload(compliance_image=IMAGE, compliance_commit="b66003e10e2d")
        environment = a_run_environment(
            results=str(tmp_path / "results"), artifacts=str(tmp_path / "artifacts"), user=this_user()
        )
        cell = Cell(scenario="Offline", mode="compliance", test=made)
        step = plan_run(workload, environment, cell, "20260101T000000Z-x", Choices(compared=(compared,)))
        step = replace(step, settings={**step.settings, "dataset": {"samples": 64}})  # as the recorded logs have it
        session = Session(name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch",))
        context = RecordContext(recipe=RecipeId(name="b", origin="builtin", sha256="0"), image=ImageId(reference="i"))
        runner = Runner(
            engine=Engine(test, verification),
            store=Store(tmp_path / "results"),
            session=session,
            watcher=Watcher(),
        )
        return runner.run(step, context)

    return run


def test_a_test_that_the_script_passes_is_passed_and_the_record_says_by_whom_and_with_what(run_it, compared):
    outcome = run_it(says(PASSES, PASSES))
    assert outcome.error is None
    summary = summarise(outcome.record, outcome.folder)
    assert (summary.verdict, summary.good, summary.reasons) == ("PASSED", True, ())
    fact = outcome.record.compliance
    assert (fact.test, fact.round, fact.commit, fact.image) == ("TEST01", "v6.1", "b66003e10e2d", IMAGE)
    assert [(one.mode, one.run_id, one.files) for one in fact.compared] == [
        ("performance", compared.run_id, compared.files)
    ]
    assert "compliance/TEST01/verify_accuracy.txt" in outcome.record.files
    assert from_json(to_json(outcome.record), path="run.json") == outcome.record
    assert verify(outcome.folder).faults == ()


def test_it_is_shown_by_the_name_of_the_test(run_it):
    outcome = run_it(says(PASSES, "TEST FAIL: Test score invalid\n"))
    summary = summarise(outcome.record, outcome.folder)
    cells = row(summary, marks=False)
    assert (cells[2], cells[-1]) == ("TEST01", "FAILED")
    told = document(summary)
    assert (told["mode"], told["verdict"], told["compliance"]["test"]) == ("compliance", "FAILED", "TEST01")
    assert told["compliance"]["compared"] == [{"mode": "performance", "run_id": "20260101T000000Z-p"}]
    page = render([summary])
    assert "Offline, TEST01" in page
    assert "mlcommons/inference at b66003e10e2d" in page


@pytest.mark.parametrize(
    ("accuracy", "performance", "reason"),
    [
        ("TEST FAIL\n", PASSES, "TEST01, verify_accuracy.txt: TEST FAIL"),
        (PASSES, "TEST FAIL: Test score invalid\n", "TEST01, verify_performance.txt: TEST FAIL: Test score invalid"),
        (PASSES, "TEST PASS\nTEST FAIL: Test score invalid\n", "TEST01, verify_performance.txt: TEST FAIL"),
    ],
)
def test_a_test_that_the_script_fails_is_failed_and_says_why(run_it, accuracy, performance, reason):
    outcome = run_it(says(accuracy, performance))
    assert (outcome.error, outcome.record.status) == (None, "done")
    summary = summarise(outcome.record, outcome.folder)
    assert (summary.verdict, summary.good) == ("FAILED", False)
    assert summary.reasons[0].startswith(reason)


@pytest.mark.parametrize(
    ("verification", "said"),
    [
        (says(PASSES, ""), "verify_performance.txt: it says neither"),
        (says(PASSES, "this is no TEST PASS line\n"), "verify_performance.txt: it says neither"),
        (says(PASSES, None), "MLCommons' script said nothing of TEST01: TEST01, verify_performance.txt"),
        (says("Traceback (most recent call last):\nKeyError: 3\n", PASSES), "verify_accuracy.txt: it says neither"),
        (says(PASSES, PASSES, status=1, prints="no module named numpy"), "its container ended with 1"),
    ],
)
def test_a_script_that_crashes_or_says_nothing_is_a_failed_step_with_its_last_lines(run_it, verification, said):
    outcome = run_it(verification)
    assert (outcome.error.slug, outcome.record.status) == ("compliance-failed", "failed")
    assert said in outcome.error.message
    assert "console-compliance.log" in outcome.error.hint
    assert "numpy" in outcome.error.detail or "numpy" not in said
    assert not summarise(outcome.record, outcome.folder).good


def test_what_older_scripts_say_on_another_stream_is_heard(run_it):
    outcome = run_it(says(PASSES, "Verifying performance.\n", prints="TEST FAIL: Reference results are invalid"))
    assert outcome.error is None
    assert summarise(outcome.record, outcome.folder).reasons == ("TEST01: TEST FAIL: Reference results are invalid",)


TEST06 = """First token check pass: {first}
EOS check pass: {end}
Sample length check pass: True
TEST06 verification {verdict}
"""
"""As the script of v6.1 prints it."""


@pytest.mark.parametrize(
    ("first", "end", "verdict", "reasons"),
    [
        ("Skipped", True, "complete", None),
        ("False", True, "failed", ["First token check pass: False", "TEST06 verification failed"]),
        ("True", False, "failed", ["EOS check pass: False", "TEST06 verification failed"]),
    ],
)
def test_test06_says_by_other_words_whether_it_is_passed_and_which_check_is_not(tmp_path, first, end, verdict, reasons):
    test = replace(
        TEST01,
        name="TEST06",
        files=("verify_accuracy.txt",),
        passes={"verify_accuracy.txt": "TEST06 verification complete"},
        fails=("First token check pass: False", "EOS check pass: False", "TEST06 verification failed"),
    )
    planned = PlannedCompliance(
        test=test,
        commit="b66003e1",
        compared=(),
        verification=ContainerSpec(name="v", image=IMAGE, command=("python3",), user="1:1"),
    )
    folder = tmp_path / "compliance" / "TEST06"
    folder.mkdir(parents=True)
    (folder / "verify_accuracy.txt").write_text(TEST06.format(first=first, end=end, verdict=verdict))
    said = verified(compliance_fact(planned), tmp_path)
    assert said.passed is (reasons is None)
    assert list(said.reasons) == [f"TEST06, verify_accuracy.txt: {line}" for line in reasons or ()]


def test_a_script_that_ends_with_1_because_the_test_is_not_passed_did_its_work(run_it):
    outcome = run_it(says(PASSES, "TEST FAIL\n", status=1))
    assert (outcome.error, outcome.record.status) == (None, "done")
    assert summarise(outcome.record, outcome.folder).verdict == "FAILED"


def test_offline_runs_its_least_queries_as_the_samples_of_its_one_query():
    audit = replace(TEST01, audit={"min_query_count": 100, "min_duration": 0})
    result = LoadGenResult(
        scenario="Offline",
        mode="PerformanceOnly",
        validity="VALID",
        effective={"min_query_count": 1, "samples_per_query": 100, "min_duration_ms": 0},
    )
    assert audit_failure(audit, result) is None
    found = audit_failure(audit, replace(result, scenario="Server", effective={"min_query_count": 64}))
    assert "min_query_count 64, not 100" in found.message
    found = audit_failure(audit, replace(result, effective={**result.effective, "min_duration_ms": 10_000}))
    assert "min_duration 10000, not 0" in found.message


def test_what_the_test_itself_left_in_the_place_of_the_verdict_is_not_believed(run_it):
    def cheats(results, on_line):
        folder = results / "compliance" / "TEST01"
        folder.mkdir(parents=True)
        for name in TEST01.files:
            (folder / name).write_text("TEST PASS\n")
        return a_valid_test(results, on_line)

    outcome = run_it(lambda _output, _on_line: 0, test=cheats)
    assert outcome.error.slug == "compliance-failed"


def test_a_result_that_changed_since_is_not_compared_with(run_it, compared):
    (Path(compared.folder) / "mlperf_log_summary.txt").write_text("Result is : VALID\n")

    def never(_output, _on_line):
        raise AssertionError("nothing is to be verified")

    outcome = run_it(never)
    assert outcome.error.slug == "compliance-failed"
    assert "mlperf_log_summary.txt of 20260101T000000Z-p changed since it ended" in outcome.error.message


def test_a_loadgen_that_ran_with_another_audit_makes_no_result(run_it):
    outcome = run_it(says(PASSES, PASSES), audit={"accuracy_log_sampling_target": 4096})
    assert outcome.error.slug == "compliance-failed"
    assert "accuracy_log_sampling_target 0, not 4096" in outcome.error.message


def test_a_test_that_failed_is_not_verified(run_it):
    def never(_output, _on_line):
        raise AssertionError("nothing is to be verified")

    assert run_it(never, test=lambda _results, _on_line: 1).error.slug == "harness-failed"


# -- what may be compared ----------------------------------------------------------------------


@pytest.fixture
def ran(tmp_path):
    """The record of a performance test, and the step that would run it again."""
    environment = a_run_environment(results=str(tmp_path / "r2"), artifacts=str(tmp_path / "a"), user=this_user())
    step = plan_run(
        a_workload(), environment, Cell(scenario="Offline", mode="performance"), "20260101T000000Z-y", Choices()
    )
    session = Session(name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch",))
    context = RecordContext(
        recipe=RecipeId(name="b", origin="builtin", sha256="0"), image=ImageId(reference=step.image)
    )
    record = first_record(step, context, session, now())
    effective = {"target_qps": {"value": 900.5, "source": "calibrated"}, "batch": {"value": 32, "source": "calibrated"}}
    return replace(record, settings=with_effective(record.settings, effective)), step


def test_the_same_test_is_one_with_what_the_harness_measured_in_place_of_what_nobody_gave(ran):
    record, step = ran
    assert is_same_test(record, step)
    settings = settings_that_ran(record)
    assert (settings["target_qps"], settings["batch"]) == (900.5, 32)


def test_another_image_model_data_mode_or_setting_is_another_test(ran):
    record, step = ran
    assert not is_same_test(replace(record, image=ImageId(reference="other")), step)
    assert not is_same_test(replace(record, mode="accuracy"), step)
    assert not is_same_test(replace(record, target="cuda"), step)
    assert not is_same_test(replace(record, model=replace(record.model, files={"model.onnx": "1" * 64})), step)
    assert not is_same_test(replace(record, dataset=replace(record.dataset, files={})), step)
    longer = replace(record.settings["loadgen.min_duration_ms"], value=600_000)
    assert not is_same_test(replace(record, settings={**record.settings, "loadgen.min_duration_ms": longer}), step)
    fewer = replace(record.settings["execution.cpus"], value=[0])
    assert not is_same_test(replace(record, settings={**record.settings, "execution.cpus": fewer}), step)
