"""What a container leaves: told, bounded, replaced, and never believed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hostile_run_parts import RUN, kept, leaving, runner
from results_parts import LOGS, add_run

from orchestrator.cli import run as mlorch
from orchestrator.errors import StepFailed
from orchestrator.operations.run.order import _reported
from orchestrator.results import loadgen
from orchestrator.results.store import Store
from orchestrator.results.summary import summarise
from orchestrator.results.verify.verification import verify


@pytest.fixture
def run_it(tmp_path):
    return runner(tmp_path)


# -- the report is ours -----------------------------------------------------------------------


def forged_report(results: Path) -> None:
    (results / "report.html").write_text("<h1>VALID</h1>")
    (results / "run.json.sig").write_text("{}")


@pytest.mark.parametrize("code", [0, 3])
def test_a_report_of_the_container_is_never_what_the_user_opens(run_it, code):
    def inside(results, on_line):
        leaving("offline", forged_report)(results, on_line)
        return code

    outcome = run_it(inside)
    assert not (outcome.folder / "report.html").exists()
    assert not (outcome.folder / "run.json.sig").exists()


def test_a_report_of_a_container_that_was_cut_short_goes_too(run_it, tmp_path):
    def inside(results, _on_line):
        forged_report(results)
        raise KeyboardInterrupt

    with pytest.raises(Exception, match="interrupted"):
        run_it(inside)
    assert not (tmp_path / RUN / "report.html").exists()


def test_a_report_that_was_replaced_afterwards_is_found(run_it, tmp_path):
    outcome = run_it(leaving("offline"))
    _reported(outcome, Store(tmp_path))
    assert verify(outcome.folder).faults == ()
    assert (outcome.folder / "report.html").exists()
    forged_report(outcome.folder)
    assert ("report.html", True) in {(one.file, "bytes" in one.message) for one in verify(outcome.folder).faults}


# -- what LoadGen said ---------------------------------------------------------------------------


def with_errors(count: int):
    line = ':::MLLOG {"key": "error_runtime", "value": "late", "metadata": {"is_error": true, "is_warning": false}}\n'

    def work(folder: Path) -> None:
        path = folder / loadgen.DETAIL
        path.write_text(line * count + path.read_text())

    return work


@pytest.mark.parametrize(
    ("case", "mode", "verdict"), [("offline", "performance", "INVALID"), ("accuracy", "accuracy", "FAILED")]
)
def test_a_test_with_errors_of_loadgen_is_not_good_and_says_so(run_it, tmp_path, capsys, case, mode, verdict):
    outcome = run_it(leaving(case, with_errors(460)), mode=mode)
    summary = summarise(outcome.record, outcome.folder)
    assert (summary.verdict, summary.good) == (verdict, False)
    assert "LoadGen logged 460 errors" in summary.reasons
    assert len(outcome.record.measured.loadgen.errors) == 100
    assert outcome.record.valid is (False if mode == "performance" else None)
    mlorch(["results", "show", "--results", str(tmp_path)])
    mlorch(["results", "list", "--results", str(tmp_path), "--json"])
    shown = capsys.readouterr().out
    assert shown.count("LoadGen logged 460 errors") == 2


def test_a_valid_record_from_before_errors_counted_is_not_good_and_nobody_is_accused(tmp_path):
    record, folder = add_run(Store(tmp_path), "offline")
    result = replace(record.measured.loadgen, errors=("x: y",), num_errors=1)
    old = replace(record, measured=replace(record.measured, loadgen=result, verdict="VALID", reasons=()))
    summary = summarise(old, folder)
    assert (summary.verdict, summary.good) == ("INVALID", False)
    assert "LoadGen logged 1 error" in summary.reasons


@pytest.mark.parametrize("name", [loadgen.DETAIL, loadgen.SUMMARY])
def test_logs_that_were_emptied_after_an_accuracy_test_fail_it(run_it, name):
    outcome = run_it(leaving("accuracy", lambda results: (results / name).write_text("")), mode="accuracy")
    assert (outcome.record.status, outcome.error.slug) == ("failed", "loadgen-log")


@pytest.mark.parametrize("text", ["", "[]", "[\n]", '[\n{"seq_id": 0, "qsl_idx": 0, "data": "00"}\n]\n'])
def test_an_accuracy_log_that_was_emptied_fails_its_test(run_it, text):
    def then(results):
        (results / loadgen.ACCURACY).write_text(text)

    outcome = run_it(leaving("accuracy", then), mode="accuracy")
    assert (outcome.record.status, outcome.error.slug) == ("failed", "accuracy-log")


def test_a_harness_of_ours_cannot_call_itself_somebody_elses_and_have_its_accuracy_log_unread(run_it):
    def then(results):
        (results / loadgen.ACCURACY).write_text("[]")

    outcome = run_it(leaving("accuracy", then, external=True), mode="accuracy")
    assert (outcome.record.status, outcome.error.slug) == ("failed", "accuracy-log")


def test_a_harness_json_that_says_external_switches_no_check_of_the_accuracy_log_off(tmp_path):
    _, folder = add_run(Store(tmp_path), "accuracy")
    harness = json.loads((folder / "harness.json").read_text())
    (folder / "harness.json").write_text(json.dumps(harness | {"external": True}))
    (folder / loadgen.ACCURACY).write_text('[\n{"seq_id": 0, "qsl_idx": 0, "data": "00"}\n]\n')
    found = {one.message for one in verify(folder).faults}
    assert {"1 different samples, the dataset has 64", "claims 64 samples, LoadGen logged 1"} <= found


def test_broken_lines_of_a_log_are_told(tmp_path):
    folder = shutil.copytree(LOGS / "server", tmp_path / "run")
    path = folder / loadgen.DETAIL
    path.write_bytes(b':::MLLOG {"key": "result_x", broken\n' * 3 + path.read_bytes())
    result = loadgen.parse(folder)
    assert (result.valid, "3 lines" in "".join(result.warnings)) == (True, True)


def test_a_log_of_a_million_keys_and_huge_values_fills_no_record(tmp_path):
    folder = shutil.copytree(LOGS / "offline", tmp_path / "run")
    path = folder / loadgen.DETAIL
    entry = (
        ':::MLLOG {{"key": "effective_k{}", "value": "{}", "metadata": {{"is_error": false, "is_warning": false}}}}\n'
    )
    path.write_text(path.read_text() + "".join(entry.format(number, "v" * 2000) for number in range(5000)))
    effective = loadgen.parse(folder).effective
    assert len(effective) <= 1000
    assert max(len(str(value)) for value in effective.values()) <= 1000


# -- what fits into a record ---------------------------------------------------------------------


@pytest.mark.parametrize("facts", [{"x": "y" * 5_000_000}, {"memory": 10**4000}])
def test_facts_that_are_too_large_make_no_record_unreadable_and_no_report_fail(run_it, tmp_path, facts):
    outcome = run_it(leaving("offline", container=facts, effective={"x": {"value": "z" * 2_000_000}}))
    _reported(outcome, Store(tmp_path))
    (entry,) = Store(tmp_path).entries()
    assert entry.problem == ""
    assert (outcome.folder / "run.json").stat().st_size < 1_000_000
    assert mlorch(["results", "report", "--results", str(tmp_path)]) == 0


def test_many_files_have_one_hash_together_and_any_change_is_found(run_it, monkeypatch):
    def many(results):
        (results / "cache").mkdir()
        for number in range(300):
            (results / "cache" / f"{number:03}").write_text(str(number))

    monkeypatch.setattr("orchestrator.runs.folder.MOST_FILES", 20)
    outcome = run_it(leaving("offline", many))
    assert len(outcome.record.files) <= 20
    assert outcome.record.left == {}
    assert outcome.record.rest.count >= 280
    assert verify(outcome.folder).faults == ()
    (outcome.folder / "cache/299").write_text("forged")
    assert "one hash together" in verify(outcome.folder).faults[0].message
    (outcome.folder / "cache/299").write_text("299")
    (outcome.folder / "late").write_text("x")
    assert not verify(outcome.folder).ok


def test_what_a_record_tells_of_already_is_hashed_by_itself_and_an_unchanged_run_of_many_files_verifies(
    run_it, monkeypatch
):
    def many(results):
        (results / "cache").mkdir()
        for number in range(300):
            (results / "cache" / f"{number:03}").write_text(str(number))
        (results / "cache/250").chmod(0o4755)
        (results / "cache/\x1b[2J").write_text("x")
        (results / "cache/zz").symlink_to("/etc/passwd")

    monkeypatch.setattr("orchestrator.runs.folder.MOST_FILES", 20)
    outcome = run_it(leaving("offline", many))
    assert "special bits" in outcome.record.left["cache/250"]
    assert verify(outcome.folder).faults == ()
    (outcome.folder / "cache/250").write_text("forged")
    assert [one.file for one in verify(outcome.folder).faults] == ["cache/250"]


def test_names_that_look_like_one_that_the_record_tells_of_are_on_no_side_of_the_hash_of_the_rest(run_it, monkeypatch):
    """Left out where the run is verified, they have to be left out where it is recorded."""

    def many(results):
        (results / "cache").mkdir()
        for number in range(300):
            (results / "cache" / f"{number:03}").write_text(str(number))
        for number in range(1, 30):
            (results / f"cache/tool{chr(number)}").write_text("x")
        (results / "cache/tool\x01").chmod(0o4755)

    monkeypatch.setattr("orchestrator.runs.folder.MOST_FILES", 10)
    outcome = run_it(leaving("offline", many))
    assert outcome.record.rest is not None
    assert verify(outcome.folder).faults == ()


def test_files_whose_names_begin_with_a_dot_are_hashed_as_all_others(run_it):
    def dots(results):
        (results / ".cache").mkdir()
        (results / ".cache/x").write_text("x")
        (results / ".hidden").write_text("x")

    outcome = run_it(leaving("offline", dots))
    assert {".hidden", ".cache/x"} <= set(outcome.record.files)
    assert verify(outcome.folder).faults == ()
    (outcome.folder / ".hidden").write_text("y")
    assert [one.file for one in verify(outcome.folder).faults] == [".hidden"]


def test_a_folder_that_was_removed_while_its_test_ran_is_named_as_that(run_it):
    def inside(results, _on_line):
        shutil.rmtree(results)
        return 1

    with pytest.raises(StepFailed) as caught:
        run_it(inside)
    assert caught.value.slug == "folder-gone"


def test_settings_that_the_harness_changed_fail_its_test(run_it):
    outcome = run_it(leaving("offline", lambda results: (results / "settings.json").write_text("{}")))
    assert (outcome.record.status, outcome.error.slug) == ("failed", "config-changed")


def test_what_lay_in_artifacts_is_in_the_record(run_it, tmp_path):
    found = []

    def inside(results, on_line):
        leaving("offline")(results, on_line)
        (folder,) = (tmp_path.parent / "artifacts").glob("*/image-fashion-*[!n]")
        found.append(sorted(path.name for path in folder.iterdir()))
        (folder / "engine.plan").write_text("compiled")

    shutil.rmtree(tmp_path.parent / "artifacts", ignore_errors=True)
    assert run_it(inside).record.artifacts.count == 0
    shutil.rmtree(tmp_path / RUN)
    record = run_it(inside).record
    assert found == [[], ["engine.plan"]]
    assert record.artifacts.files.keys() == {"engine.plan"}
    assert len(record.artifacts.sha256) == 64
    assert kept(tmp_path).artifacts == record.artifacts
