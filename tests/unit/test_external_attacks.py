"""A program that does what it can against the host, the run and the next run; with an engine made of a few lines."""

from __future__ import annotations

import os

import pytest
from external_run_parts import compiled, leaving, logs, make_run, programs, scored


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
