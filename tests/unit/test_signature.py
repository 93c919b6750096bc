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


LINKED = {
    "written": lambda f: (f / "main.py").write_text("print(1)\n"),
    "replaced": lambda f: (f / "other.py").replace(f / "main.py"),
    "removed": lambda f: (f / "main.py").unlink(),
    "made executable": lambda f: (f / "main.py").chmod(0o755),
    "another way": lambda f: ((f / "way").unlink(), (f / "way").symlink_to(f / "other.py")),
    "written in a linked folder": lambda f: (f / "tree/deep/x.txt").write_text("new"),
    "added to a linked folder": lambda f: (f / "tree/deep/y.txt").touch(),
    "written behind a link in a linked folder": lambda f: (f / "far.txt").write_text("new"),
}


@pytest.fixture
def outside(folder, tmp_path):
    """A folder outside the recipes to which links in them lead: to a file over another link, and to a folder."""
    outside = tmp_path / "outside"
    (outside / "tree/deep").mkdir(parents=True)
    for name in ("main.py", "other.py", "tree/deep/x.txt", "far.txt"):
        (outside / name).write_text("print()\n")
    (outside / "way").symlink_to(outside / "main.py")
    (outside / "tree/deep/far").symlink_to(outside / "far.txt")
    (outside / "tree/up").symlink_to(outside / "tree")
    (folder / "recipes/layers/program/linked.py").symlink_to(outside / "way")
    (folder / "recipes/layers/program/tree").symlink_to(outside / "tree")
    (folder / "recipes/layers/program/nowhere").symlink_to(outside / "nowhere")
    return outside


@pytest.mark.parametrize("change", LINKED)
def test_what_a_link_leads_to_counts(folder, outside, change):
    before = signature([folder])
    assert signature([folder]) == before
    LINKED[change](outside)
    assert signature([folder]) != before


def test_a_target_that_appears_is_noticed(folder, outside):
    before = signature([folder])
    (outside / "nowhere").touch()
    assert signature([folder]) != before


def test_a_link_to_a_huge_tree_is_not_followed_for_ever_and_never_believed(folder, outside, monkeypatch):
    from orchestrator.host import signature as module

    monkeypatch.setattr(module, "_MOST", 1)
    assert signature([folder]) != signature([folder])
