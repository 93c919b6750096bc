"""A folder of results: never overwritten, tolerant in reading, findable by a part of an id."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from results_parts import add_run, record_of

from orchestrator.errors import StepFailed, UsageError
from orchestrator.facts.containers import Owner
from orchestrator.host import process
from orchestrator.host.process import boot_id, this_process
from orchestrator.results import store as store_module
from orchestrator.results.store import Store, may_live


def test_a_run_is_never_overwritten(tmp_path):
    store = Store(tmp_path / "results")
    folder = store.begin(record_of("offline"))
    before = (folder / "run.json").read_bytes()
    with pytest.raises(StepFailed, match="exists already"):
        store.begin(replace(record_of("offline"), target="other"))
    assert (folder / "run.json").read_bytes() == before


def test_a_record_that_cannot_be_written_leaves_no_folder(tmp_path, monkeypatch):
    def full(*_args, **_named):
        raise store_module.WriteFailed("no space")

    monkeypatch.setattr(store_module, "atomic_write_text", full)
    with pytest.raises(StepFailed):
        Store(tmp_path).begin(record_of("offline"))
    assert list(tmp_path.iterdir()) == []


def test_runs_are_listed_newest_first_and_broken_ones_stay_in_sight(tmp_path):
    store = Store(tmp_path)
    for second, case in ((5, "server"), (1, "offline"), (9, "accuracy")):
        add_run(store, case, second)
    (tmp_path / "20261124T014107Z-broken" / "deep").mkdir(parents=True)
    (tmp_path / "20261124T014107Z-broken" / "run.json").write_bytes(b"\xff{")
    (tmp_path / "report-x.html").write_text("not a run")
    entries = store.entries()
    assert [entry.run_id[13:16] for entry in entries] == ["09Z", "07Z", "05Z", "01Z"]
    assert [entry.status for entry in entries] == ["done", "unreadable", "done", "done"]
    with pytest.raises(StepFailed, match="20261124T014107Z-broken"):
        entries[1].need()


def test_no_folder_of_results_is_no_error_and_makes_none(tmp_path):
    assert Store(tmp_path / "none").entries() == []
    assert not (tmp_path / "none").exists()


def test_a_run_is_found_by_id_by_its_parts_by_folder_and_as_the_latest(tmp_path):
    store = Store(tmp_path)
    first, folder = add_run(store, "offline", 1)
    second, _ = add_run(store, "server", 2)
    for reference in (first.run_id, first.run_id[:16], first.run_id[-4:], str(folder)):
        assert store.find(reference).record == first
    assert store.find("latest").record == second


def test_an_unclear_reference_is_a_usage_error_with_the_nearest(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(UsageError, match="no results"):
        store.find("x")
    first, _ = add_run(store, "offline", 1)
    add_run(store, "server", 2)
    with pytest.raises(UsageError, match="fits 2 runs") as caught:
        store.find("20261124")
    assert caught.value.slug == "ambiguous-run"
    with pytest.raises(UsageError) as caught:
        store.find(first.run_id.replace("offline", "ofline"))
    assert first.run_id in caught.value.hint
    with pytest.raises(UsageError):
        store.find("")


def test_a_session_is_its_runs_oldest_first(tmp_path):
    store = Store(tmp_path)
    first, _ = add_run(store, "offline", 1)
    second, _ = add_run(store, "server", 2)
    other = replace(record_of("accuracy", 3), session="another")
    store.begin(other)
    assert [entry.record for entry in store.session(second)] == [first, second]


def test_a_run_whose_mlorch_died_counts_as_interrupted(tmp_path):
    store = Store(tmp_path)
    dead = replace(record_of("offline", 1), owner=replace(this_process(), start_ticks=1))
    alive = replace(record_of("server", 2), owner=this_process())
    store.begin(dead)
    store.begin(alive)
    assert [record.run_id for record in store.sweep()] == [dead.run_id]
    assert [entry.status for entry in store.entries()] == ["running", "interrupted"]
    kept = store.find(dead.run_id).need()
    assert kept.error.slug == "interrupted"
    assert kept.valid is None
    assert store.sweep() == []


def test_a_folder_that_its_container_closed_before_it_was_killed_is_opened_and_its_run_ends(tmp_path, monkeypatch):
    """Whoever removed the container with its mlorch: the run is not lost from sight."""
    if os.geteuid() == 0:  # who may look into every folder
        monkeypatch.setattr(os, "access", lambda path, _mode: bool(Path(path).stat().st_mode & 0o500))
    store = Store(tmp_path)
    dead = replace(record_of("offline", 1), owner=replace(this_process(), start_ticks=1))
    folder = store.begin(dead)
    folder.chmod(0)
    assert [record.run_id for record in store.sweep()] == [dead.run_id]
    assert store.find(dead.run_id).need().error.slug == "interrupted"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_run_on_another_machine_is_left_alone_and_one_before_a_reboot_is_not(monkeypatch):
    import platform

    old = Owner(pid=1, start_ticks=1, boot_id="older than " + boot_id())
    record = replace(record_of("offline"), owner=old)
    assert may_live(replace(record, host={"hostname": "another-machine"})) is True
    assert may_live(replace(record, host={"hostname": platform.node()})) is False
    assert may_live(replace(record, host={"hostname": "anonymous"})) is True, "nobody knows which machine that was"
    monkeypatch.setattr(process, "machine", lambda: "this one")
    named = replace(record, host={"hostname": platform.node()})
    assert may_live(replace(named, owner=replace(old, machine="this one"))) is False
    assert may_live(replace(named, owner=replace(old, machine="of the same name"))) is True
    here = replace(old, boot_id=boot_id(), pid=2**22 + 1)
    assert may_live(replace(named, owner=here)) is False
    assert may_live(replace(named, owner=replace(here, namespace="1"))) is True, "in a container of a developer"


def test_a_folder_in_place_of_the_record_does_not_keep_the_record_out(tmp_path):
    store, record = Store(tmp_path), record_of("offline")
    folder = store.begin(record)
    (folder / "run.json").unlink()
    (folder / "run.json").mkdir()
    (folder / "run.json" / "x").write_text("of the container")
    store.finish(record)
    assert store.find(record.run_id).record == record
    (aside,) = folder.glob("run.json.folder-*")
    assert (aside / "x").exists()


def test_a_run_that_was_started_by_hand_is_told_as_that_and_is_not_the_latest(tmp_path):
    store = Store(tmp_path)
    recorded = record_of("offline")
    store.begin(recorded)
    pasted = tmp_path / "99991231T235959Z-a-cpu-offline-accuracy-0000"
    pasted.mkdir()
    (pasted / "run.json").touch()
    assert store.find("latest").run_id == recorded.run_id
    with pytest.raises(StepFailed, match="started by hand, from a line of `--dry-run`"):
        store.find(pasted.name).need()


def test_a_record_can_be_read_in_the_container_whatever_the_umask_is(tmp_path):
    """It is mounted over itself, and the container's user is not the one who wrote it."""
    before = os.umask(0o077)
    try:
        folder = Store(tmp_path).begin(record_of("offline"))
        Store(tmp_path).finish(record_of("offline"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "run.json").stat().st_mode) == 0o644
