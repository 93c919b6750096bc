"""What a killed mlorch leaves, with its engine there or not: readable records, and nothing that nobody else removes."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import replace

import pytest
from external_run_parts import make_run, programs

from orchestrator.facts.containers import Owner
from orchestrator.facts.record_file import from_json, to_json
from orchestrator.host.folders import cache_home
from orchestrator.host.process import boot_id
from orchestrator.results.store import RESERVE, Store
from orchestrator.results.verify.verification import verify
from orchestrator.runs.sweep import sweep

DEAD = Owner(pid=999_999_999, start_ticks=1, boot_id=boot_id(), user="0")
RUN = "20260101T000000Z-suite-cpu-offline-performance-0000"


class Nothing:
    """An engine without containers."""

    def containers(self, _label):
        return []


@pytest.fixture
def unfinished(tmp_path, monkeypatch):
    """A folder that a killed mlorch was filling with an artefact."""
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))
    folder = cache_home() / "artifacts/.made/suite-compile/.0123abcd.89ef.new"
    (folder / "out" / "deep").mkdir(parents=True)
    (folder / "out" / "deep" / "half").write_bytes(bytes(64))
    (folder / "out" / "deep").chmod(0)
    return folder


def test_what_a_dead_step_did_not_finish_is_removed_once_its_container_can_be(unfinished):
    sweep(None)
    assert unfinished.exists()
    sweep(Nothing())
    assert not unfinished.exists()


def test_what_another_mlorch_is_making_stays(unfinished):
    with unfinished.with_name("0123abcd.lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        sweep(Nothing())
        assert unfinished.exists()


def test_a_run_whose_mlorch_is_gone_is_readable_and_holds_nothing_back(tmp_path):
    outcome, record = make_run(tmp_path)(programs())
    (outcome.folder / RESERVE).write_bytes(bytes(1000))
    running = replace(record, status="running", owner=DEAD, ended=None, measured=None, files={})
    (outcome.folder / "run.json").chmod(0o644)
    (outcome.folder / "run.json").write_text(to_json(running))
    store = Store(tmp_path / "results")
    (swept,) = store.sweep()
    kept = from_json((outcome.folder / "run.json").read_text(), path="run.json")
    assert (swept.status, kept.status, kept.error.slug) == ("interrupted", "interrupted", "interrupted")
    assert not (outcome.folder / RESERVE).exists()
    assert verify(outcome.folder).ok
    assert store.sweep() == []


@pytest.mark.parametrize(("names", "age_s", "stays"), [
    ([], 3600, False),
    ([".run.json.77.12ab.tmp"], 3600, False),
    ([], 0, True),
    (["mlperf_log_detail.txt"], 3600, True),
])  # fmt: skip
def test_a_folder_that_was_never_begun_goes_when_nobody_can_be_beginning_it(tmp_path, names, age_s, stays):
    folder = tmp_path / RUN
    folder.mkdir()
    for name in names:
        (folder / name).write_text("{")
    then = time.time() - age_s
    os.utime(folder, (then, then))
    Store(tmp_path).sweep()
    assert folder.exists() is stays
