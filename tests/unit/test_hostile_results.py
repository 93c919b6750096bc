"""What a container leaves and what others put beside it: told, bounded, replaced, and never believed."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from results_parts import LOGS, add_run, record_of
from run_parts import a_run_environment, a_workload

from orchestrator.cli import run as mlorch
from orchestrator.engines import ContainerExit
from orchestrator.errors import StepFailed
from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.facts.record_file import from_json, to_json
from orchestrator.facts.runs import TimeLimit
from orchestrator.harness import lines
from orchestrator.host.process import this_process, this_user
from orchestrator.operations.run.order import _reported
from orchestrator.operations.signing import sign_runs
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.limits import time_limit
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.results import loadgen
from orchestrator.results.store import Store
from orchestrator.results.summary import summarise
from orchestrator.results.verify.signature import held_to_signature, sign_record
from orchestrator.results.verify.verification import verify
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher

RUN = "20260101T000000Z-x"


class Engine:
    """Runs a function in place of a container; `stop` ends one that waits for it."""

    name = "fake"

    def __init__(self, inside):
        self.inside, self.stopped = inside, threading.Event()

    def run(self, spec, on_line):
        results = Path(next(mount.source for mount in spec.mounts if mount.target == "/results"))
        code = self.inside(results, on_line) or 0
        return ContainerExit(container_id="c0ffee", exit_code=code, out_of_memory=False)

    def stop(self, _name):
        self.stopped.set()

    def deployed(self, _name):
        return None

    def containers(self, _label):
        return []


@pytest.fixture
def run_it(tmp_path):
    def run(inside, *, mode="performance", **changes):
        engine = inside if isinstance(inside, Engine) else Engine(inside)
        environment = a_run_environment(
            results=str(tmp_path), artifacts=str(tmp_path.parent / "artifacts"), user=this_user()
        )
        step = plan_run(a_workload(), environment, Cell(scenario="Offline", mode=mode), RUN, Choices())
        step = replace(step, settings={**step.settings, "dataset": {"samples": 64}}, **changes)
        session = Session(name="s", owner=this_process(), mlorch_version="0", command_line=())
        runner = Runner(engine=engine, store=Store(tmp_path), session=session, watcher=Watcher())
        context = RecordContext(recipe=RecipeId(name="b", origin="o", sha256="0"), image=ImageId(reference="i"))
        return runner.run(step, context)

    return run


def leaving(case: str, then=lambda _results: None, **harness):
    """A container that leaves a recorded test, and does something more."""

    def inside(results: Path, on_line) -> None:
        on_line('{"event": "phase", "name": "test"}\n')
        for source in (LOGS / case).iterdir():
            shutil.copy(source, results)
        accuracy = None
        if case == "accuracy":
            accuracy = {"metric": "top1", "value": 95.0, "unit": "%", "correct": 61, "samples": 64}
        document = {"version": 2, "status": "done", "error": None, "accuracy": accuracy, **harness}
        (results / "harness.json").write_text(json.dumps(document))
        then(results)

    return inside


def kept(folder: Path):
    return from_json((folder / RUN / "run.json").read_text(), path="run.json")


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


# -- time --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "talks", "words", "advice"),
    [
        (TimeLimit(total_s=1), True, "after 1 s, its limit", "`--timeout` of `mlorch run` is the limit (now 1 s)"),
        (TimeLimit(total_s=60, silence_s=1), False, "nothing for 1 s", "is the limit of silence too (now 1 s)"),
    ],
)
def test_a_harness_that_hangs_is_stopped_and_its_run_failed_with_the_reason(run_it, limit, talks, words, advice):
    def hanging(_results, on_line):
        until = time.monotonic() + 20
        while not engine.stopped.wait(0.1) and time.monotonic() < until:
            if talks:
                on_line("still here\n")
        return 137

    engine = Engine(hanging)
    began = time.monotonic()
    outcome = run_it(engine, limit=limit)
    assert time.monotonic() - began < 10
    assert (outcome.record.status, outcome.error.slug) == ("failed", "timeout")
    assert words in outcome.error.message
    assert advice in outcome.error.hint
    assert outcome.record.limit == limit


def test_a_harness_that_stands_still_says_nothing_and_is_stopped_for_its_silence(run_it, monkeypatch):
    """Our own harness's thread tells how far it is; what it writes is what mlorch hears."""
    heard: list[str] = []

    def standing_still(_results, on_line):
        monkeypatch.setattr(lines, "emit", lambda event, **values: on_line(json.dumps({"event": event, **values})))
        until = time.monotonic() + 5
        with lines.ProgressLines(lambda: (7, 64, time.monotonic())):
            while not engine.stopped.wait(0.1) and time.monotonic() < until:
                pass
        heard.append("stopped" if engine.stopped.is_set() else "went on")
        return 137

    engine = Engine(standing_still)
    outcome = run_it(engine, limit=TimeLimit(total_s=60, silence_s=1))
    assert heard == ["stopped"]
    assert (outcome.error.slug, "nothing for 1 s" in outcome.error.message) == ("timeout", True)


def test_each_step_forward_is_told_once_with_its_rate(capsys, monkeypatch):
    monkeypatch.setattr(lines, "PROGRESS_SECONDS", 0.01)
    moments = iter([(0, None), (0, None), (0, 64), (5, 64), (5, 64), (5, 64), (64, 64)])
    last = threading.Event()

    def read():
        try:
            return (*next(moments), 1.0)
        except StopIteration:
            last.set()
            return 64, 64, 0.0

    with lines.ProgressLines(read):
        assert last.wait(10)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["done"], one["total"]) for one in told] == [(0, None), (0, 64), (5, 64), (64, 64)]
    assert [one["qps"] > 0 for one in told] == [False, False, True, True]


def test_a_limit_follows_from_the_duration_or_the_command_line():
    environment = a_run_environment()
    cell = Cell(scenario="Offline", mode="performance")

    def limit(**choices):
        return plan_run(a_workload(), environment, cell, RUN, Choices(**choices)).limit

    assert limit().total_s > 24 * 3600
    assert limit(min_duration_ms=10**9).total_s > 20 * 10**6
    assert limit(timeout_s=600) == TimeLimit(total_s=600, silence_s=600, source="command line")
    assert limit(timeout_s=10**6) == TimeLimit(total_s=10**6, silence_s=10**6, source="command line")


@pytest.mark.parametrize(
    ("settings", "hours"),
    [
        ({"target_qps": 2.0}, 270_336 / 2 / 3600),
        ({"target_qps": 2}, 270_336 / 2 / 3600),
        ({"expected_latency_ns": 3 * 10**9}, 270_336 * 3 / 3600),
        ({"target_qps": None, "expected_latency_ns": None}, 0),
        ({"target_qps": 5e-324}, 366 * 24),  # more than a number can hold
    ],
)
def test_a_test_has_twice_the_time_that_its_least_number_of_queries_needs(settings, hours):
    official = {"min_duration_ms": 600_000, "min_query_count": 270_336, **settings}
    seconds = time_limit(official, None, is_ours=True).total_s
    assert seconds / 3600 == pytest.approx(24 + 20 / 6 + 2 * hours, abs=0.01)


@pytest.mark.parametrize("text", ["", "10", "0s", "-1s", "1y", "99999999999d", "²s"])
def test_what_is_no_time_limit_is_refused_before_anything(text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mlorch(["run", "image-fashion", "-t", "cpu", "--timeout", text, "--dry-run"]) == 2
    assert "timeout-syntax" in capsys.readouterr().err


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


# -- records that others wrote ---------------------------------------------------------------------


def forge(folder: Path, **changes) -> None:
    """Record, hashes and seal made anew, as anybody can."""
    record = from_json((folder / "run.json").read_text(), path="run.json")
    (folder / "run.json").write_text(to_json(replace(record, **changes)))


def test_the_name_of_a_data_set_in_a_record_reaches_no_path(tmp_path, monkeypatch):
    record, folder = add_run(Store(tmp_path), "accuracy")
    asked = []
    monkeypatch.setattr(Path, "glob", lambda _self, pattern: asked.append(pattern) or [])
    for name in ("../../../*", "..", "/etc", "a/../../*", "*"):
        forge(folder, dataset=replace(record.dataset, name=name))
        assert mlorch(["results", "verify", "--results", str(tmp_path), "--json"]) in {0, 1}
    assert [pattern for pattern in asked if pattern.startswith("dataset")] == []


def test_a_record_under_another_name_is_written_nowhere_else(tmp_path):
    """A record that says `running` is closed by whoever looks: under its folder's name only."""
    store = Store(tmp_path / "results")
    folder = store.begin(record_of("offline"))
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/run.json").write_text("mine")
    forge(folder, run_id="../victim")
    assert store.sweep() == []
    assert (tmp_path / "victim/run.json").read_text() == "mine"


def test_the_session_in_a_record_is_no_path_of_a_report(tmp_path):
    _, folder = add_run(Store(tmp_path / "results"), "offline")
    (tmp_path / "results/report-x").mkdir()
    forge(folder, session="x/../../../stolen")
    assert mlorch(["results", "report", "--results", str(tmp_path / "results")]) == 0
    assert list(tmp_path.glob("**/stolen*")) == []
    assert len(list((tmp_path / "results").glob("report-*.html"))) == 1


def test_a_title_that_looks_like_mark_up_ends_no_command(tmp_path, capsys):
    record, folder = add_run(Store(tmp_path), "offline")
    forge(folder, note="[/red] x \x1b[2J", target="[bold]", benchmark="[/]")
    for words in (["list"], ["show"], ["verify"], ["report"]):
        assert mlorch(["results", *words, "--results", str(tmp_path)]) in {0, 1}
    assert "\x1b[2J" not in "".join(capsys.readouterr())
    assert record.note != ""


def test_a_large_accuracy_log_is_read_a_line_at_a_time(tmp_path, monkeypatch):
    """A gigabyte of empty lists would become twenty of memory."""
    _, folder = add_run(Store(tmp_path), "accuracy")
    monkeypatch.setattr("orchestrator.results.verify.accuracy._LARGEST_WHOLE", 100)
    assert verify(folder).faults == ()
    (folder / loadgen.ACCURACY).write_text("[" + "[],\n" * 1000 + "[]]")
    assert (loadgen.ACCURACY, "not a list of LoadGen's entries") in {(f.file, f.message) for f in verify(folder).faults}


@pytest.mark.parametrize(
    ("limit", "value", "why"),
    [
        ("_LONGEST_ANSWER", 40, "an answer of more than 40 bytes"),
        ("_MOST_ANSWERS", 10, "more than 10 answers"),
    ],
)
def test_an_honest_accuracy_log_that_is_too_large_to_check_is_no_fault_and_told(
    tmp_path, monkeypatch, key, limit, value, why
):
    from orchestrator.operations.progress import Silent

    _, folder = add_run(Store(tmp_path / "r"), "accuracy")
    monkeypatch.setattr("orchestrator.results.verify.accuracy._LARGEST_WHOLE", 100)
    monkeypatch.setattr(f"orchestrator.results.verify.accuracy.{limit}", value)
    found = verify(folder)
    assert found.faults == ()
    assert "of the accuracy log only how many samples it has" in found.checked[-1]
    assert why in found.checked[-1]
    assert sign_runs(tmp_path / "r", (), key["own"][0], Silent())
    lines = (folder / loadgen.ACCURACY).read_text().splitlines(keepends=True)
    (folder / loadgen.ACCURACY).write_text("".join(lines[:30]))
    assert any("and the data set has 64" in one.message for one in verify(folder).faults)


def test_an_accuracy_log_is_verified_up_to_the_size_that_its_test_may_end_with(tmp_path, monkeypatch):
    from orchestrator.results import accuracy_log
    from orchestrator.results.verify import accuracy

    assert accuracy.LARGEST == accuracy_log.LARGEST > 2**30
    _, folder = add_run(Store(tmp_path), "accuracy")
    monkeypatch.setattr(accuracy, "LARGEST", 200)
    assert [one.message for one in verify(folder).faults] == [
        f"has {(folder / loadgen.ACCURACY).stat().st_size:,} bytes; 200 are the most that is read"
    ]


# -- signatures --------------------------------------------------------------------------------------


@pytest.fixture
def key(tmp_path):
    from orchestrator.images.attest.signatures import generate, load_signer, load_verifier

    made = {}
    for name in ("own", "other"):
        private, public = generate("")
        (tmp_path / f"{name}.key").write_bytes(private)
        (tmp_path / f"{name}.pub").write_bytes(public)
        made[name] = (load_signer(tmp_path / f"{name}.key", lambda: ""), load_verifier(tmp_path / f"{name}.pub"))
    return made


def test_a_record_that_was_forged_with_all_its_hashes_is_refused_with_the_key(tmp_path, key):
    signer, verifier = key["own"]
    _, folder = add_run(Store(tmp_path / "r"), "server-invalid")
    sign_record(folder, signer)
    assert held_to_signature(verify(folder), verifier).ok
    assert held_to_signature(verify(folder), verifier).signed
    for source in (LOGS / "server").iterdir():  # a good run's logs, and everything made to fit
        shutil.copy(source, folder)
    from orchestrator.host.files import sha256_file
    from orchestrator.results.measure import measure

    record = from_json((folder / "run.json").read_text(), path="run.json")
    files = {name: replace(fact, sha256=sha256_file(folder / name), size=(folder / name).stat().st_size)
             for name, fact in record.files.items()}  # fmt: skip
    forge(folder, valid=True, files=files, measured=measure(record, folder, {})[0])
    assert verify(folder).ok  # nothing else could tell
    found = held_to_signature(verify(folder), verifier)
    assert [(one.file, "not made with this key" in one.message) for one in found.faults] == [("run.json.sig", True)]


def test_only_the_key_that_signed_passes_and_no_signature_is_none(tmp_path, key):
    _, folder = add_run(Store(tmp_path / "r"), "offline")
    assert held_to_signature(verify(folder), key["own"][1]).faults[0].message == "the record is not signed"
    sign_record(folder, key["other"][0])
    assert not held_to_signature(verify(folder), key["own"][1]).ok
    for hostile in ("", "[]", "{" * 1000, '{"sig": "!"}'):
        (folder / "run.json.sig").write_text(hostile)
        assert not held_to_signature(verify(folder), key["own"][1]).ok
    (folder / "run.json.sig").unlink()
    os.mkfifo(folder / "run.json.sig")
    assert "no regular file" in held_to_signature(verify(folder), key["own"][1]).faults[0].message


def test_runs_are_signed_and_verified_by_the_command_line_which_says_what_it_proves(tmp_path, key, capsys):
    results = ["--results", str(tmp_path / "r")]
    _, folder = add_run(Store(tmp_path / "r"), "offline")
    assert mlorch(["results", "verify", *results]) == 0
    assert "could have made both" in capsys.readouterr().err
    assert mlorch(["results", "verify", "--key", str(tmp_path / "own.pub"), *results]) == 1
    assert mlorch(["results", "sign", "--key", str(tmp_path / "own.key"), *results]) == 0
    capsys.readouterr()
    assert mlorch(["results", "verify", "--key", str(tmp_path / "own.pub"), *results]) == 0
    assert "somebody with this key" in capsys.readouterr().err
    _, other = add_run(Store(tmp_path / "r"), "server", 1)
    for at_fault, good in ((folder, other), (other, folder)):  # in whatever order, of the good one it is the same
        sign_record(good, key["own"][0])
        for broken in ("", "[]", None):
            (at_fault / "run.json.sig").unlink(missing_ok=True)
            if broken is not None:
                (at_fault / "run.json.sig").write_text(broken)
            assert mlorch(["results", "verify", "--key", str(tmp_path / "own.pub"), *results]) == 1
            said = capsys.readouterr()
            assert "somebody with this key" in said.err
            assert "could have made both" not in said.err
            assert ("it is no signature" if broken is not None else "the record is not signed") in said.out
    shutil.rmtree(other)
    forge(folder, target="gpu")
    assert mlorch(["results", "verify", "--key", str(tmp_path / "own.pub"), *results, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["results"][0]["signed"] is False


def test_a_run_that_does_not_verify_is_not_signed(tmp_path, key):
    from orchestrator.operations.progress import Silent

    _, folder = add_run(Store(tmp_path / "r"), "offline")
    (folder / "harness.json").write_text("{}")
    with pytest.raises(StepFailed) as caught:
        sign_runs(tmp_path / "r", (), key["own"][0], Silent())
    assert caught.value.slug == "verify"
    assert not (folder / "run.json.sig").exists()


def test_a_run_may_sign_its_records_with_a_key_that_is_read_before_anything_runs(tmp_path, key):
    from orchestrator.errors import UsageError
    from orchestrator.operations.signing import record_signing

    _, folder = add_run(Store(tmp_path / "r"), "offline")
    record_signing("")(folder)
    assert not (folder / "run.json.sig").exists()
    with pytest.raises(UsageError) as caught:
        record_signing(str(tmp_path / "none.key"))
    assert caught.value.slug == "bad-key"
    record_signing(str(tmp_path / "own.key"))(folder)
    assert held_to_signature(verify(folder), key["own"][1]).ok


@pytest.mark.parametrize(("name", "slug"), [("none.key", "bad-key"), ("closed.key", "key-password")])
def test_a_dry_run_looks_at_the_key_too(tmp_path, key, name, slug, capsys, monkeypatch):
    from orchestrator.images.attest.signatures import generate

    monkeypatch.delenv("MLORCH_KEY_PASSWORD", raising=False)
    (tmp_path / "closed.key").write_bytes(generate("secret")[0])
    line = ["run", "image-fashion", "-t", "cpu", "--dry-run", "--json", "--sign-key"]
    assert mlorch([*line, str(tmp_path / name)]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["slug"] == slug
    assert mlorch([*line, str(tmp_path / "own.key")]) == 0


def test_a_record_that_cannot_be_signed_is_told_and_hides_no_other_result(tmp_path, key, monkeypatch):
    from contextlib import nullcontext
    from types import SimpleNamespace

    from orchestrator.operations.progress import Silent
    from orchestrator.operations.run import order
    from orchestrator.operations.run.request import RunRequest
    from orchestrator.results.summary import document

    store, warned = Store(tmp_path / "r"), []
    ended = [SimpleNamespace(record=record, folder=folder) for record, folder in
             (add_run(store, "offline"), add_run(store, "offline", 1))]  # fmt: skip
    (ended[0].folder / "run.json.sig").mkdir()  # nothing can be written in its place
    idle = SimpleNamespace(end=lambda: None, wait_removed=lambda: None)
    ready = SimpleNamespace(runner=SimpleNamespace(store=store, engine=idle, kept=idle))
    monkeypatch.setattr(order, "prepare", lambda *_: None)
    monkeypatch.setattr(order, "with_processors", lambda *_: nullcontext(ready))
    monkeypatch.setattr(order, "outcomes", lambda *_: iter(ended))
    progress = Silent()
    monkeypatch.setattr(Silent, "warn", lambda _self, text: warned.append(text))
    request = RunRequest(sign_key=str(tmp_path / "own.key"))
    bad, good = order.run(None, request, progress, None)
    assert (bad.good, good.good) == (False, True)
    assert "is not signed" in document(bad)["reasons"][0]
    assert "results sign" in warned[0]
    assert held_to_signature(verify(good.folder), key["own"][1]).signed


def test_who_signs_names_the_key(capsys):
    assert mlorch(["results", "sign"]) == 2
    assert "--key" in capsys.readouterr().err
