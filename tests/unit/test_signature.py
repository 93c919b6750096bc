"""The signature of files: it changes with every change that could change a plan, and with no other."""

from __future__ import annotations

import os
import time

import pytest
from sample_recipes import write

from orchestrator.host.signature import signature


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "sample")


CHANGES = {
    "written": lambda f: (f / "recipes/models/net.yaml").write_text("x"),
    "added": lambda f: (f / "recipes/new.yaml").write_text(""),
    "removed": lambda f: (f / "images/os.lock.yaml").unlink(),
    "renamed": lambda f: (f / "dockerfiles/plain.Dockerfile.j2").rename(f / "dockerfiles/x.j2"),
    "made executable": lambda f: (f / "recipes/datasets/photos/prepare.py").chmod(0o755),
    "a folder moved": lambda f: (f / "recipes/models/net").rename(f / "recipes/models/nets"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_noticed(folder, change):
    before = signature([folder])
    assert signature([str(folder)]) == before
    CHANGES[change](folder)
    assert signature([folder]) != before


def test_a_file_with_its_old_size_and_time_is_noticed(folder):
    path = folder / "recipes/models/net/net.onnx"
    stat = path.stat()
    before = signature([folder])
    path.write_text("WEIGHTS")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert signature([folder]) != before


def test_what_cannot_change_a_plan_is_not_looked_at(folder):
    before = signature([folder])
    (folder / "results").mkdir()
    (folder / "results/run.json").write_text("{}")
    (folder / "recipes/__pycache__").mkdir()
    (folder / "recipes/__pycache__/x.pyc").write_text("")
    assert signature([folder]) == before


def test_a_bare_folder_counts_whole_and_a_missing_one_is_no_error(tmp_path):
    (tmp_path / "a").mkdir()
    empty = signature([tmp_path])
    (tmp_path / "a/x.yaml").write_text("")
    assert signature([tmp_path]) != empty
    assert signature([tmp_path / "nowhere"])


def test_the_order_of_roots_counts(tmp_path):
    one, two = write(tmp_path / "1", only={"a.yaml": "1"}), write(tmp_path / "2", only={"a.yaml": "2"})
    assert signature([one, two]) != signature([two, one])


def test_two_thousand_files_cost_little(tmp_path):
    """Measured 7 ms of processor time; the bound leaves room for slow machines, not for reading files."""
    (tmp_path / "recipes").mkdir()
    for number in range(2000):
        (tmp_path / f"recipes/{number}.yaml").touch()
    costs = []
    for _ in range(5):
        start = time.process_time()
        signature([tmp_path])
        costs.append(time.process_time() - start)
    assert min(costs) < 0.05
