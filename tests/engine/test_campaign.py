"""A campaign of real tests, killed in the middle and gone on with: every cell once, no finished cell again."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import time
from pathlib import Path

import pytest

from orchestrator.results.store import Store
from orchestrator.results.summary import summarise

pytestmark = pytest.mark.engine
CAMPAIGN = """\
kind: campaign
name: killed
title: Short tests of a small network
matrix:
  benchmark: image-smoke
  target: cpu
  scenario: [Offline, SingleStream]
  duration: 1s
"""
KILLS = 2
LONGEST_S = 8.0
"""From the beginning of a cell to a kill: a cell takes two to six seconds, or more where others work beside it."""


def _cells(folder: Path) -> dict[str, list[tuple[str, str, bool]]]:
    """The tests of each cell: id, status and whether they count."""
    found = {}
    for cell in sorted((folder / "cells").glob("*")):
        entries = Store(cell).entries()
        assert [entry.problem for entry in entries] == [""] * len(entries), "a record is corrupt"
        summaries = [summarise(entry.need(), entry.folder) for entry in entries]
        found[cell.name] = [(one.record.run_id, one.record.status, one.good) for one in summaries]
    return found


def _wait_for_a_line(journal: Path, process: subprocess.Popen) -> None:
    """Until a cell began or ended, however busy the machine is."""

    def size() -> int:
        return journal.stat().st_size if journal.exists() else 0

    before, deadline = size(), time.monotonic() + 60
    while size() == before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)


def test_a_campaign_that_is_killed_at_random_moments_runs_every_cell_once(mlorch, tmp_path):
    built = mlorch("build", "--target", "cpu", "--benchmark", "image-smoke", timeout=1800)
    assert built.returncode == 0, built.stderr
    path, results = tmp_path / "killed.yaml", tmp_path / "results"
    path.write_text(CAMPAIGN)
    folder = results / "campaigns" / "killed"
    seed = time.time_ns()
    chance = random.Random(seed)
    finished: set[str] = set()
    for _ in range(KILLS):
        process = subprocess.Popen(
            [*mlorch.command, "campaign", "run", str(path), "-o", str(results)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _wait_for_a_line(folder / "journal", process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, LONGEST_S))
        process.kill()
        process.wait(30)
        good = {name for name, runs in _cells(folder).items() if any(run[2] for run in runs)}
        assert finished <= good, f"seed {seed}"
        finished = good
    before = _cells(folder)
    ended = mlorch("campaign", "run", str(path), "-o", str(results), "--json", timeout=120)
    assert ended.returncode == 0, f"seed {seed}: {ended.stderr}"
    document = json.loads(ended.stdout)
    assert document["counts"]["done"] == document["counts"]["total"] == 3
    assert document["ran"] == 3 - len(finished), f"seed {seed}: a finished cell was run again, or one was left out"
    after = _cells(folder)
    for name, runs in after.items():
        assert sum(run[2] for run in runs) == 1, f"seed {seed}: {name}: {runs}"
        assert {run[1] for run in runs} <= {"done", "interrupted"}
        if name in finished:
            assert {run[0] for run in runs} == {run[0] for run in before[name]}
    assert len(after) == 3
    assert {cell["runs"][-1] for cell in document["cells"]} == {
        run[0] for runs in after.values() for run in runs if run[2]
    }
    rows = json.loads(mlorch("campaign", "export", str(path), "-o", str(results), "--json").stdout)["rows"]
    assert [row["verdict"] for row in rows] == ["PASSED", "VALID", "VALID"]
    assert {row["accuracy_image"] for row in rows[1:]} == {rows[0]["image"]} == {row["image"] for row in rows}
