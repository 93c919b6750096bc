"""A program that does what it can against the host, the run and the next run; with an engine made of a few lines."""

from __future__ import annotations

import os

import pytest
from external_run_parts import compiled, leaving, logs, make_run, programs, scored

from orchestrator.results.verify.verification import verify
from orchestrator.runs.runner import Watcher


@pytest.fixture
def run_it(tmp_path):
    return make_run(tmp_path)


WRITABLE = [
    {"path": "/opt/theirs/build", "kind": "results", "reason": "it builds there"},
    {"path": "/opt/theirs/jit", "kind": "artifacts", "reason": "it keeps kernels there"},
]


@pytest.mark.parametrize(
    "where", [("/results", "config"), ("/results", "opt-theirs-build"), ("/artifacts", "opt-theirs-jit")]
)
def test_a_folder_that_a_later_step_finds_mounted_cannot_become_a_link_of_the_hosts(run_it, tmp_path, where):
    """The engine follows links of a mount's source as root: the next container would have a folder of the host."""
    secret = tmp_path / "home of somebody"
    secret.mkdir()

    def linking(folders, on_line):
        compiled(folders, on_line)
        held = folders[where[0]] / where[1]
        held.rename(folders[where[0]] / "old")
        held.symlink_to(secret)

    engine = programs(compile_it=linking)
    outcome, record = run_it(engine, program={"writable": WRITABLE})
    assert [spec.command[0] for spec in engine.specs] == ["compile"]
    assert outcome.error.slug == "mount-changed"
    assert record.status == "failed"


def test_the_place_of_an_artefact_cannot_become_a_link(run_it):
    def linking(folders, on_line):
        compiled(folders, on_line)
        (folders["/artifacts"] / "compile").rmdir()
        (folders["/artifacts"] / "compile").symlink_to("/nowhere")

    outcome, _ = run_it(programs(compile_it=linking))
    assert outcome.error.slug == "mount-changed"


def test_a_folder_that_a_later_step_needs_and_is_gone_is_told(run_it):
    def removing(folders, on_line):
        compiled(folders, on_line)
        (folders["/results"] / "config").rename(folders["/results"] / "old")

    outcome, record = run_it(programs(compile_it=removing))
    assert (outcome.error.slug, record.status) == ("mount-changed", "failed")
    assert "step `compile` replaced or removed config" in outcome.error.message


def test_what_lies_in_the_place_of_a_steps_log_gives_way(run_it):
    def before(folders, on_line):
        compiled(folders, on_line)
        (folders["/results"] / "console.log").mkdir()

    outcome, _ = run_it(programs(compile_it=before))
    assert outcome.error is None
    assert (outcome.folder / "console.log").read_text() == "done\n"


@pytest.mark.parametrize("said", ["1e999", "-3", "100.1", "9" * 400])
def test_a_share_that_there_cannot_be_is_no_accuracy(run_it, said):
    engine = programs(test=leaving("accuracy"), score=scored(f"acc={said}% of 64\n"))
    outcome, _ = run_it(engine, mode="accuracy")
    assert outcome.error.slug == "no-accuracy"


@pytest.mark.parametrize("count", ["²", "9" * 6000, "-1"])
def test_a_count_of_samples_that_is_none_is_the_data_sets(run_it, count):
    figure = {"name": "top1", "pattern": "^acc=([^%]+)%", "samples": "of (\\S+)", "unit": "%"}
    engine = programs(test=leaving("accuracy"), score=scored(f"acc=91% of {count}\n"))
    outcome, record = run_it(engine, mode="accuracy", program={"accuracy": {"step": "score", "figures": [figure]}})
    assert outcome.error is None
    assert record.measured.accuracy.samples == 10_000


def test_an_endless_file_in_an_artefact_fails_its_test_only(run_it):
    def sparse(folders, _on_line):
        with (folders["/artifacts/compile"] / "net.bin").open("wb") as stream:
            stream.truncate(2**40)

    outcome, record = run_it(programs(compile_it=sparse))
    assert (outcome.error.slug, record.status) == ("unreadable-file", "failed")


def deep(folder):
    held = os.open(folder, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=held)
        inner = os.open("d", os.O_RDONLY, dir_fd=held)
        os.close(held)
        held = inner
    os.close(held)


def closed(folder):
    (folder / "d/e").mkdir(parents=True)
    (folder / "d").chmod(0)


def pipe(folder):
    os.mkfifo(folder / "net.bin")


def link(folder):
    (folder / "net.bin").symlink_to("/etc/passwd")


@pytest.mark.parametrize("make", [deep, closed, pipe, link])
def test_what_a_step_leaves_in_place_of_an_artefact_hinders_no_later_run(run_it, make):
    def bad(folders, _on_line):
        make(folders["/artifacts/compile"])

    outcome, _ = run_it(programs(compile_it=bad, codes={"compile": 1}))
    assert outcome.error.slug == "harness-failed"
    outcome, _ = run_it(programs(compile_it=bad))
    assert outcome.error.slug == "artifact-missing"
    outcome, _ = run_it(programs())
    assert outcome.error is None


@pytest.mark.parametrize("name", [b"\xff\xfe", b"a\x1b[2Jb", b"a\nb"])
def test_the_names_of_folders_are_told_so_that_they_steer_no_terminal(run_it, name):
    def twice(folders, on_line):
        logs(folders["/results"], "offline", "logs/" + os.fsdecode(name))
        logs(folders["/results"], "offline", "logs/b")
        on_line("done\n")

    outcome, record = run_it(programs(test=twice))
    assert record.error.slug == "several-loadgen-logs"
    assert outcome.error.message.isprintable()


# -- what a program leaves beside its test -----------------------------------------------------


def then(act, kind="offline"):
    """A test that does its work, and then something to its folder of logs and to the run's folder."""

    def test(folders, on_line):
        leaving(kind)(folders, on_line)
        act(folders["/results"] / "logs/1", folders["/results"])

    return test


def doubled_log(logs, _results):
    log = logs / "mlperf_log_detail.txt"
    text = log.read_text()
    first = text.replace('"result_validity", "value": "VALID"', '"result_validity", "value": "INVALID"')
    assert first != text
    log.write_text(first + text)


def sparse_log(logs, _results):
    os.truncate(logs / "mlperf_log_detail.txt", 2**32)


@pytest.mark.parametrize(
    ("act", "why"),
    [(doubled_log, "holds more than one test: `result_validity` is INVALID and VALID"), (sparse_log, "is sparse")],
)
def test_a_log_that_is_not_one_of_one_test_counts_for_nothing(run_it, act, why):
    outcome, record = run_it(programs(test=then(act)))
    assert (outcome.error.slug, record.status, record.valid) == ("loadgen-log", "failed", None)
    assert why in outcome.error.message


def special(logs, results):
    os.mkfifo(logs / "mlperf_log_pipe")
    (logs / "mlperf_log_link").symlink_to("/etc/shadow")
    (results / ("n" * 255)).touch()
    (results / "tool").touch()
    (results / "tool").chmod(0o6777)
    (results / os.fsdecode(b"a\x1b[2J\xff\nb")).touch()


def test_what_no_run_may_leave_is_noted_and_its_record_holds_all_the_same(run_it):
    outcome, record = run_it(programs(test=then(special)))
    assert outcome.error is None
    assert record.left["logs/1/mlperf_log_pipe"] == "a pipe; removed"
    assert "special bits were taken away" in record.left["tool"]
    assert (outcome.folder / "tool").stat().st_mode & 0o7777 == 0o755
    assert verify(outcome.folder).faults == ()


def test_so_many_files_that_not_all_are_hashed_leave_the_logs_their_hashes(run_it, monkeypatch):
    def many(_logs, results):
        (results / "cache").mkdir()
        for number in range(300):
            (results / "cache" / str(number)).touch()
            (results / f"a{number}").touch()

    monkeypatch.setattr("orchestrator.runs.folder.MOST_FILES", 100)
    outcome, record = run_it(programs(test=then(many)))
    wanted = {"mlperf_log_detail.txt", "mlperf_log_summary.txt", "settings.json", "harness.json", "console.log"}
    assert wanted <= set(record.files)
    assert record.rest.count > 500
    assert verify(outcome.folder).faults == ()


def test_files_that_came_later_are_named_and_not_all_of_a_flood(run_it):
    outcome, _ = run_it(programs())
    for number in range(150):
        (outcome.folder / f"late{number}").touch()
    faults = verify(outcome.folder).faults
    assert len(faults) == 101
    assert faults[-1].message == "50 more files were not there when the run ended"


def test_a_program_of_others_cannot_speak_as_mlorch(run_it, monkeypatch):
    def speaking(folders, on_line):
        leaving()(folders, on_line)
        on_line('{"event": "progress", "done": 1e999, "total": -1, "qps": 1e400}\n')
        on_line('{"event": "log", "text": "all is well"}\n')

    heard = []
    monkeypatch.setattr(Watcher, "event", lambda _self, _step, event: heard.append(event))
    outcome, _ = run_it(programs(test=speaking))
    assert {event["text"] for event in heard} == {"step compile", "step test"}
    assert "all is well" in (outcome.folder / "console.log").read_text()


def test_a_program_that_prints_without_end_fills_no_disk_and_is_heard_to_the_last_line(run_it, monkeypatch):
    def talking(folders, on_line):
        for _ in range(100):
            on_line("x" * 999 + "\n")
        leaving()(folders, on_line)

    monkeypatch.setattr("orchestrator.runs.containers.LARGEST_LOG", 20_000)
    outcome, _ = run_it(programs(test=talking))
    assert outcome.error is None  # `done`, which the recipe expects, was its last line
    log = (outcome.folder / "console.log").read_text()
    assert len(log) < 21_000
    assert "more than 20,000 bytes; what came after this is not kept" in log


def linked(_logs, results):
    (results / "proof.txt").symlink_to("/etc/passwd")


def a_folder(_logs, results):
    (results / "proof.txt").mkdir()


@pytest.mark.parametrize(("act", "why"), [(linked, "is a link"), (a_folder, "is no regular file")])
def test_a_file_that_the_recipe_expects_is_a_file(run_it, act, why):
    outcome, _ = run_it(programs(test=then(act)), program={"expect": {"files": ["proof.txt"]}})
    assert outcome.error.slug == "file-missing"
    assert why in outcome.error.message
