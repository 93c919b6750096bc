"""What becomes of a run's record, whatever its container does; with an engine made of a few lines."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from results_parts import LOGS
from run_parts import a_run_environment, a_workload

from orchestrator.engines import ContainerExit, ContainerFacts
from orchestrator.errors import EngineError, HostLimitError, InterruptedRun, StepFailed
from orchestrator.facts.containers import Owner
from orchestrator.facts.measured import LoadGenResult, Measured
from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.facts.record_file import from_json
from orchestrator.host import process
from orchestrator.host.process import (
    alive,
    boot_id,
    owner_label,
    parse_owner_label,
    this_process,
    this_user,
)
from orchestrator.host.signals import signals_interrupt
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.results import loadgen
from orchestrator.results.measure import measure
from orchestrator.results.store import Store
from orchestrator.results.summary import document, summarise
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher
from orchestrator.runs.sweep import orphaned, sweep

HARNESS = {
    "version": 1, "status": "done", "error": None, "container": {"python": "3.11.2", "uid": 1000},
    "effective": {"target_qps": {"value": 12.5, "source": "calibrated"}}, "accuracy": None,
}  # fmt: skip


@dataclass
class FakeEngine:
    """Runs a function in place of a container; keeps what is asked of it."""

    inside: object
    exit_code: int = 0
    out_of_memory: bool = False
    left: list[ContainerFacts] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    record_at_start: str = ""
    name: str = "fake"

    def run(self, spec, on_line):
        results = Path(next(mount.source for mount in spec.mounts if mount.target == "/results"))
        self.record_at_start = json.loads((results / "run.json").read_text())["status"]
        self.inside(results, on_line)
        return ContainerExit(container_id="c0ffee", exit_code=self.exit_code, out_of_memory=self.out_of_memory)

    def deployed(self, name):
        return None

    def containers(self, label):
        key, _, value = label.partition("=")
        return [c for c in self.left if key in c.labels and value in {"", c.labels[key]}]

    def remove(self, container_id):
        self.removed.append(container_id)
        self.left = [c for c in self.left if c.container_id != container_id]


def measured(*, valid: bool):
    """What reads a run's logs, for a test whose container writes none."""
    word = "VALID" if valid else "INVALID"
    result = LoadGenResult(scenario="Offline", mode="performance", validity=word)
    return lambda *_arguments: (Measured(verdict=word, loadgen=result), None)


def done(results: Path, on_line) -> None:
    on_line('{"event": "phase", "name": "test"}\n')
    on_line("plain words")
    (results / "harness.json").write_text(json.dumps(HARNESS))


@pytest.fixture
def run_it(tmp_path):
    """Runs one step whose container does ``inside``; gives what came of it."""

    def run(engine, *, secrets=(), watcher=None, measure=None, mode="performance"):
        step = plan_run(
            a_workload(),
            a_run_environment(results=str(tmp_path), artifacts=str(tmp_path.parent / "artifacts"), user=this_user()),
            Cell(scenario="Offline", mode=mode),
            "20260101T000000Z-x",
            Choices(),
        )
        step = replace(step, settings={**step.settings, "dataset": {"samples": 64}})  # as the recorded logs have it
        session = Session(
            name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch", "run"), secrets=secrets
        )
        record_context = RecordContext(
            recipe=RecipeId(name="b", origin="builtin", sha256="0"), image=ImageId(reference="i")
        )
        runner = Runner(
            engine=engine,
            store=Store(tmp_path),
            session=session,
            measure=measure or measured(valid=True),
            watcher=watcher or Watcher(),
        )
        return runner.run(step, record_context)

    return run


def record_in(folder: Path):
    """The one record below a folder, as a later command reads it."""
    place = next(folder.glob("*/run.json"))
    return from_json(place.read_text(), path=str(place))


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


# -- after kill -9 -----------------------------------------------------------------------


def container(owner: str, *, state="running", name="c") -> ContainerFacts:
    return ContainerFacts(
        container_id=name, name=name, state=state, labels={"org.mlorch.run": name, "org.mlorch.owner": owner}
    )


def test_a_process_is_alive_with_its_own_start_only():
    me = this_process()
    assert alive(me)
    assert not alive(replace(me, start_ticks=me.start_ticks - 1))
    assert not alive(Owner(pid=2**22 + 1, start_ticks=1, boot_id=boot_id()))


def test_what_cannot_be_seen_from_here_is_not_dead(monkeypatch):
    me = replace(this_process(), machine="this one")
    monkeypatch.setattr(process, "machine", lambda: "this one")
    gone = replace(me, start_ticks=me.start_ticks - 1)
    assert not alive(replace(gone, boot_id="an earlier boot"))
    assert alive(replace(gone, boot_id="its boot", machine="another one"))
    assert alive(replace(gone, boot_id="its boot", machine="")), "nobody said which machine that was"
    assert alive(replace(gone, namespace="4026531836000"))
    assert not alive(replace(gone, namespace=process.pid_namespace()))


def test_a_process_that_proc_hides_is_dead_only_where_the_kernel_says_so(monkeypatch, tmp_path):
    """/proc mounted with hidepid shows a user only the own processes."""
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text(f"{boot_id()}\n")
    monkeypatch.setattr(process, "PROC", tmp_path)
    of_another = Owner(pid=1, start_ticks=1, boot_id=boot_id())

    def forbidden(_pid, _number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert alive(of_another)
    monkeypatch.undo()
    monkeypatch.setattr(process, "PROC", tmp_path)
    child = subprocess.Popen(["sleep", "60"])
    assert alive(replace(of_another, pid=child.pid))
    child.kill()
    child.wait()
    assert not alive(replace(of_another, pid=child.pid))


def test_an_anonymous_machine_has_no_name(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "MACHINE_ID", tmp_path / "machine-id")
    assert process.machine() == ""
    (tmp_path / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    named = process.machine()
    assert len(named) == 32
    assert "0123456789" not in named, "the id itself is not for others to know"
    monkeypatch.setenv("MLORCH_ANONYMOUS", "1")
    assert process.machine() == ""


def test_the_owner_label_is_read_back():
    me = this_process()
    assert parse_owner_label(owner_label(me)) == replace(me, user="")
    assert parse_owner_label("1:2:boot:3") == Owner(pid=1, start_ticks=2, boot_id="boot", namespace="3")
    assert parse_owner_label("nonsense") is None


def test_sweep_removes_the_dead_and_only_them(monkeypatch):
    me = replace(this_process(), machine="this one")
    monkeypatch.setattr(process, "machine", lambda: "this one")
    dead = owner_label(replace(me, start_ticks=me.start_ticks - 1))
    elsewhere = owner_label(replace(me, boot_id="other", machine="another one"))
    earlier = owner_label(replace(me, boot_id="other"))
    hidden = owner_label(replace(me, start_ticks=me.start_ticks - 1, namespace="1"))
    engine = FakeEngine(done)
    engine.left = [
        container(dead, name="dead"),
        container(owner_label(me), name="live"),
        container(elsewhere, name="other machine"),
        container(elsewhere, name="just made by another machine", state="created"),
        container(earlier, name="before the boot", state="exited"),
        container("nonsense", name="not ours"),
        container(hidden, name="other namespace"),
    ]
    assert sweep(engine) == ["dead", "before the boot"]
    assert engine.removed == ["dead", "before the boot"]
    assert not orphaned(container(owner_label(me)))


def test_what_a_container_wrote_until_it_was_removed_is_made_harmless(run_it, tmp_path):
    """Its record may have been ended before, by a command that met no engine."""
    folder = run_it(FakeEngine(done)).folder
    me = this_process()
    found = container(owner_label(replace(me, start_ticks=me.start_ticks - 1)), name=folder.name)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in (folder / "shell", elsewhere / "shell"):
        path.write_text("x")
        path.chmod(0o4755)
    engine = FakeEngine(done)
    for labels in ({"org.mlorch.results": str(tmp_path)}, {"org.mlorch.run": "elsewhere"}, {"org.mlorch.run": "."}):
        where = {"org.mlorch.results": str(tmp_path)}
        engine.left.append(replace(found, labels={**found.labels, **where, **labels}))
    sweep(engine)
    assert (folder / "shell").stat().st_mode & 0o7000 == 0
    assert (elsewhere / "shell").stat().st_mode & 0o7000 == 0o4000, "no run's folder"


@pytest.mark.parametrize("trick", ["removed", "link", "of another run"])
def test_a_container_does_not_keep_its_setuid_files_by_its_hands_on_the_record(run_it, trick):
    folder = run_it(FakeEngine(done)).folder
    (folder / "shell").write_text("x")
    (folder / "shell").chmod(0o4755)
    (folder / "run.json").unlink()
    if trick == "link":
        (folder / "run.json").symlink_to("/etc/hostname")
    if trick == "of another run":
        (folder / "run.json").write_text('{"run_id": "other"}')
    me = this_process()
    found = container(owner_label(replace(me, start_ticks=me.start_ticks - 1)), name=folder.name)
    labels = {**found.labels, "org.mlorch.results": str(folder.parent)}
    sweep(FakeEngine(done, left=[replace(found, labels=labels)]))
    assert (folder / "shell").stat().st_mode & 0o7000 == 0


def test_the_record_of_a_dead_process_becomes_interrupted(run_it, tmp_path):
    run_it(FakeEngine(done))
    store = Store(tmp_path)
    record = store.entries()[0].need()
    gone = replace(record, status="running", owner=replace(record.owner, start_ticks=1))
    store.finish(gone)
    (tmp_path / record.run_id / "shell").write_text("x")
    (tmp_path / record.run_id / "shell").chmod(0o4755)
    store.sweep()
    assert store.entries()[0].need().status == "interrupted"
    assert "4755" in store.entries()[0].need().left["shell"]
    assert (tmp_path / record.run_id / "shell").stat().st_mode & 0o7000 == 0
    shutil.rmtree(tmp_path / record.run_id)
