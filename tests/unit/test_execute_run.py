"""What becomes of a run's record, whatever its container does; with an engine made of a few lines."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from fake_run_parts import HARNESS, FakeEngine, done, measured, record_in, runner
from results_parts import LOGS

from orchestrator.engines import ContainerFacts
from orchestrator.errors import EngineError, HostLimitError, InterruptedRun, StepFailed
from orchestrator.facts.measured import Measured
from orchestrator.host.signals import signals_interrupt
from orchestrator.results import loadgen
from orchestrator.results.measure import measure
from orchestrator.results.store import Store
from orchestrator.results.summary import document, summarise
from orchestrator.runs.runner import Watcher


@pytest.fixture
def run_it(tmp_path):
    return runner(tmp_path)


def test_a_good_run_is_recorded_first_and_whole_at_the_end(run_it, tmp_path):
    engine = FakeEngine(done)
    outcome = run_it(engine)
    assert engine.record_at_start == "running"
    record = record_in(tmp_path)
    assert record == outcome.record
    assert (record.status, record.valid, record.exit_code, outcome.error) == ("done", True, 0, None)
    assert record.ended.unix_ns >= record.started.unix_ns
    assert record.container_facts == {"python": "3.11.2", "uid": 1000}
    assert record.settings["loadgen.target_qps"].value == 12.5
    assert record.settings["loadgen.target_qps"].source == "calibrated"
    assert set(record.files) == {"console.log", "harness.json", "settings.json"}
    assert (outcome.folder / "console.log").read_text() == '{"event": "phase", "name": "test"}\nplain words\n'
    assert sorted(p.name for p in outcome.folder.iterdir()) == [
        "console.log",
        "harness.json",
        "run.json",
        "settings.json",
    ]


def test_events_and_plain_lines_reach_the_watcher(run_it):
    seen = []

    class Seeing(Watcher):
        def event(self, step, event):
            seen.append(event["event"])

        def line(self, step, text):
            seen.append(text)

    run_it(FakeEngine(done), watcher=Seeing())
    assert seen == ["phase", "plain words"]


def test_invalid_is_kept_and_marked(run_it, tmp_path):
    assert run_it(FakeEngine(done), measure=measured(valid=False)).record.valid is False
    assert record_in(tmp_path).status == "done"


def test_accuracy_has_no_verdict_of_loadgen(run_it):
    assert run_it(FakeEngine(done), mode="accuracy").record.valid is None


def test_a_crash_is_kept_with_the_logs_tail_and_path(run_it, tmp_path):
    def crash(_results, on_line):
        for number in range(50):
            on_line(f"line {number}")

    outcome = run_it(FakeEngine(crash, exit_code=1))
    assert isinstance(outcome.error, StepFailed)
    assert outcome.error.detail.splitlines()[-1] == "line 49"
    assert len(outcome.error.detail.splitlines()) == 20
    assert str(outcome.folder / "console.log") in outcome.error.hint
    record = record_in(tmp_path)
    assert (record.status, record.valid, record.error.slug) == ("failed", None, "harness-failed")


def test_logs_that_are_cut_off_fail_the_run(run_it, tmp_path):
    def measure(*_arguments):
        return Measured(verdict="NO RESULT"), StepFailed("the log is cut off", slug="loadgen-log")

    assert run_it(FakeEngine(done), measure=measure).error.slug == "loadgen-log"
    assert (record_in(tmp_path).status, record_in(tmp_path).valid) == ("failed", None)


def test_exit_0_without_a_harness_document_is_no_success(run_it):
    assert run_it(FakeEngine(lambda _results, _line: None)).record.status == "failed"


def test_out_of_memory_is_said(run_it):
    outcome = run_it(FakeEngine(lambda _results, _line: None, exit_code=137, out_of_memory=True))
    assert outcome.error.slug == "out-of-memory"
    assert "memory limit of 14.40 GiB" in outcome.error.message
    assert outcome.record.out_of_memory


def test_a_harness_that_was_killed_unheard_is_no_harness_that_ended(run_it):
    error = run_it(FakeEngine(lambda _results, _line: None, exit_code=137)).error
    assert (error.slug, "was killed (status 137)" in error.message) == ("harness-failed", True)
    assert "for want of memory (limit 14.40 GiB)" in error.hint


def test_a_device_that_is_gone_at_the_start_is_a_failed_run_with_its_reason(run_it, tmp_path):
    def gone(results, on_line):
        raise HostLimitError("the device node /dev/chip0 is gone", hint="see the log", slug="device-gone")

    with pytest.raises(HostLimitError):
        run_it(FakeEngine(gone))
    record = record_in(tmp_path)
    assert (record.status, record.error.slug, record.error.hint) == ("failed", "device-gone", "see the log")
    assert record.container.device_injection.method == "none"


def test_a_lost_engine_interrupts(run_it, tmp_path):
    def lost(_results, on_line):
        on_line('{"event": "phase", "name": "test"}')
        raise EngineError("the engine stopped answering")

    with pytest.raises(EngineError) as error:
        run_it(FakeEngine(lost))
    assert error.value.exit_code == 4
    record = record_in(tmp_path)
    assert record.status == "interrupted"
    assert record.disturbance.load, "what else ran meanwhile may be why"


def test_of_a_run_that_never_began_nobody_claims_what_else_ran(run_it, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("orchestrator.runs.runner.prepare_folder", full)
    with pytest.raises(StepFailed):
        run_it(FakeEngine(done))
    assert record_in(tmp_path).disturbance is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_container_and_is_recorded(run_it, tmp_path, number):
    def killed(results, _line):
        (results / "harness.json").write_text(json.dumps(HARNESS))  # a half result must not count
        os.kill(os.getpid(), number)

    label = {"org.mlorch.run": "20260101T000000Z-x"}
    other = {"org.mlorch.run": "another"}
    engine = FakeEngine(killed)
    engine.left = [
        ContainerFacts(container_id="mine", name="", state="running", labels=label),
        ContainerFacts(container_id="other", name="", state="running", labels=other),
    ]
    with pytest.raises(InterruptedRun) as error, signals_interrupt():
        run_it(engine)
    assert error.value.exit_code == 130
    assert engine.removed == ["mine"]
    assert (record_in(tmp_path).status, record_in(tmp_path).valid) == ("interrupted", None)


def test_a_full_disk_is_an_error_and_leaves_a_sound_record(run_it, tmp_path, monkeypatch):
    def full(_results, _line):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("orchestrator.runs.failures.free_bytes", lambda _folder: 0)
    with pytest.raises(StepFailed, match="no space left") as error:
        run_it(FakeEngine(full))
    assert (error.value.slug, error.value.exit_code) == ("disk-full", 1)
    assert (record_in(tmp_path).status, record_in(tmp_path).error.slug) == ("failed", "disk-full")


def test_a_run_never_overwrites_another(run_it, tmp_path):
    run_it(FakeEngine(done))
    before = record_in(tmp_path)
    with pytest.raises(StepFailed) as error:
        run_it(FakeEngine(done))
    assert error.value.slug == "exists"
    assert record_in(tmp_path) == before


def test_secrets_are_nowhere_in_the_run_folder(run_it, tmp_path):
    def leak(results, on_line):
        on_line("token is hunter2hunter2 and http://me:pw@proxy")
        raise StepFailed("could not fetch with hunter2hunter2")

    with pytest.raises(StepFailed):
        run_it(FakeEngine(leak), secrets=("hunter2hunter2",))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert "hunter2" not in path.read_text()
            assert "me:pw" not in path.read_text()


def test_a_link_from_inside_is_not_followed(run_it, tmp_path):
    secret = tmp_path.parent / "outside.json"
    secret.write_text(json.dumps({"status": "done", "container": {"stolen": 1}}))

    def link(results, _line):
        (results / "harness.json").symlink_to(secret)

    outcome = run_it(FakeEngine(link))
    assert outcome.record.status == "failed"
    assert "harness.json" not in outcome.record.files
    assert outcome.record.container_facts == {}


def recorded(case: str):
    """A container that writes LoadGen's recorded logs."""

    def inside(results: Path, on_line) -> None:
        for path in (LOGS / case).iterdir():
            shutil.copy(path, results)
        done(results, on_line)

    return inside


def test_what_was_measured_is_in_the_record_and_stays_so_when_the_logs_go(run_it, tmp_path):
    outcome = run_it(FakeEngine(recorded("server-invalid")), measure=measure)
    measured = record_in(tmp_path).measured
    assert (measured.verdict, outcome.record.valid) == ("INVALID", False)
    assert "Reduce target QPS to improve latency." in measured.reasons
    assert measured.loadgen.result.name == "completed_samples_per_second"
    before = document(summarise(outcome.record, outcome.folder))
    for path in outcome.folder.glob("mlperf_log_*"):
        path.unlink()
    assert document(summarise(record_in(tmp_path), outcome.folder)) == before
    assert before["metrics"]["latency_ns"]["p99"] > 0


def test_loadgen_s_logs_are_read_once_a_run(run_it, monkeypatch):
    read = []

    def counted(folder):
        read.append(folder)
        return parse(folder)

    parse = loadgen.parse
    monkeypatch.setattr(loadgen, "parse", counted)
    outcome = run_it(FakeEngine(recorded("offline")), measure=measure)
    assert summarise(outcome.record, outcome.folder).verdict == "VALID"
    assert len(read) == 1


def plant(results: Path, on_line) -> None:
    """A hostile harness: everything that a folder can hold and no run may leave."""
    (results / "shell").write_text("x")
    (results / "shell").chmod(0o6755)
    os.mkfifo(results / "mlperf_log_detail.txt")
    os.mkfifo(results / "latency_histogram.json")
    (results / "console.log").unlink()
    (results / "console.log").symlink_to("/etc/passwd")
    (results / "run.json").unlink()
    (results / "run.json").symlink_to("/etc/passwd")
    (results / os.fsdecode(b"\xff\n")).write_text("x")
    on_line("mischief")


def test_a_hostile_container_leaves_nothing_that_acts_on_the_host(run_it, tmp_path):
    passwd = Path("/etc/passwd").read_bytes()
    outcome = run_it(FakeEngine(plant, exit_code=1))
    record = record_in(tmp_path)
    assert (record.status, record.error.slug) == ("failed", "harness-failed")
    assert (outcome.folder / "shell").stat().st_mode & 0o7777 == 0o755
    assert "6755" in record.left["shell"]
    assert record.left["mlperf_log_detail.txt"] == record.left["latency_histogram.json"] == "a pipe; removed"
    assert "is a link" in record.left["console.log"]
    assert "no plain text" in "".join(record.left.values())
    assert set(record.files) == {"settings.json", "shell"}
    assert outcome.error.detail == ""
    assert "root:" not in str(outcome.error) + (outcome.folder / "run.json").read_text()
    assert Path("/etc/passwd").read_bytes() == passwd
    assert not (outcome.folder / "run.json").is_symlink()


def test_a_pipe_in_place_of_a_record_does_not_hang_a_listing(tmp_path):
    for name, make in (("a", os.mkfifo), ("b", lambda path: path.symlink_to("/etc/passwd"))):
        (tmp_path / name).mkdir()
        make(tmp_path / name / "run.json")
    entries = Store(tmp_path).entries()
    assert {entry.status for entry in entries} == {"unreadable"}
    assert any("no regular file" in entry.problem for entry in entries)
    assert any("is a link" in entry.problem for entry in entries)
    assert Store(tmp_path).sweep() == []


def test_the_harness_cannot_break_the_record_with_its_own_document(run_it, tmp_path):
    def huge(results: Path, _line) -> None:
        (results / "harness.json").write_text(
            json.dumps({**HARNESS, "accuracy": {"metric": "\x1b[2J", "value": 10**400, "samples": 10**400}})
        )

    def half(results: Path, _line) -> None:
        (results / "harness.json").write_text(r'{"status": "done", "container": {"x": "\ud800"}}')

    assert run_it(FakeEngine(huge), mode="accuracy", measure=measure).record.measured.accuracy is None
    shutil.rmtree(tmp_path / "20260101T000000Z-x")
    assert run_it(FakeEngine(half)).record.status == "failed"
    assert record_in(tmp_path).container_facts == {}
