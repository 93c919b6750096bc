"""After kill -9: which processes count as dead, and what the next command does with what they left."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

import pytest
from fake_run_parts import FakeEngine, done, runner

from orchestrator.engines import ContainerFacts
from orchestrator.facts.containers import Owner
from orchestrator.host import process
from orchestrator.host.process import (
    alive,
    boot_id,
    owner_label,
    parse_owner_label,
    this_process,
)
from orchestrator.results.store import Store
from orchestrator.runs.sweep import orphaned, sweep


@pytest.fixture
def run_it(tmp_path):
    return runner(tmp_path)


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
