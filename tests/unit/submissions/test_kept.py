"""What is kept of a check: read again only where something changed, and never believed where it is odd."""

from __future__ import annotations

import json
import os

import pytest
from submission_parts import RESNET, check, good_tree, row, rules, write

from orchestrator.submissions import kept as kept_module
from orchestrator.submissions.findings import Rulebook
from orchestrator.submissions.kept import Kept
from orchestrator.submissions.reading import Reader

OFFLINE = f"{RESNET}/Offline"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_module, "_YOUNG_NS", 0)
    return good_tree(tmp_path / "tree")


@pytest.fixture
def read(monkeypatch):
    """The paths of the files that are read."""
    paths: list[str] = []
    original = Reader.text

    def text(self, path, *more):
        paths.append(path)
        return original(self, path, *more)

    monkeypatch.setattr(Reader, "text", text)
    return paths


def again(tree, **options):
    kept = Kept(tree.parent / "cache", tree, Rulebook(rules(), ignored=frozenset(options.get("skip", ()))))
    return check(tree, kept=kept, **options)


def test_what_did_not_change_is_not_read_again(tree, read):
    first = again(tree)
    assert any("closed/Acme/results" in path for path in read)
    read.clear()
    assert again(tree) == first
    assert not any("results" in path or "systems" in path for path in read)


CHANGES = [
    f"{OFFLINE}/accuracy/accuracy.txt",
    f"{OFFLINE}/performance/run_1/mlperf_log_detail.txt",
    "closed/Acme/systems/box.json",
    "closed/Acme/measurements/box/resnet/Offline/user.conf",
    "closed/Acme/compliance/box/resnet/Offline/TEST01/verify_performance.txt",
    "closed/Acme/code/resnet/README.md",
]


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("how", ["changed", "same size and time", "gone"])
def test_after_a_change_the_check_says_what_a_new_one_says(tree, path, how):
    again(tree)
    at = tree / path
    if how == "gone":
        at.unlink()
    elif how == "changed":
        at.write_text("")
    else:
        before = at.stat()
        at.write_bytes(b"x" * before.st_size)
        os.utime(at, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert again(tree) == check(tree)


def test_only_the_changed_system_is_read_again(tree, read):
    again(tree)
    write(tree / OFFLINE / "accuracy" / "accuracy.txt", "accuracy=76.0%\nhash=1\n")
    read.clear()
    assert row(again(tree), OFFLINE).Accuracy == "acc: 76.0"
    assert not any(path.startswith("open/Acme/results") for path in read)


def test_other_rules_are_not_answered_from_the_same_cache(tree):
    write(tree / OFFLINE / "accuracy" / "accuracy.txt", "accuracy=70.0%\nhash=1\n")
    assert not again(tree).good
    assert "accuracy" not in {each.rule for each in again(tree, skip=("accuracy",)).findings}


def test_a_file_that_has_just_changed_is_not_relied_on(tree, monkeypatch):
    monkeypatch.setattr(kept_module, "_YOUNG_NS", 10**12)
    again(tree)
    (document,) = [json.loads(path.read_text()) for path in (tree.parent / "cache").glob("*")] or [{"systems": {}}]
    assert document["systems"] == {}


ODD = ["not JSON", "[]", '{"form": 1}', '{"form": 1, "about": "x", "systems": {}}']


@pytest.mark.parametrize("text", ODD)
def test_an_odd_cache_is_made_anew(tree, text):
    first = again(tree)
    (cache,) = (tree.parent / "cache").iterdir()
    cache.write_text(text)
    assert again(tree) == first


@pytest.mark.parametrize(
    "change",
    [
        {"findings": [["x"]]},
        {"findings": [["accuracy", "fine", "skip", "p", "m", "h"]]},
        {"rows": [[1]]},
        {"results": "many"},
        {"refused": None},
        {"findings": None},
    ],
)
def test_odd_entries_are_not_believed(tree, change):
    first = again(tree)
    (cache,) = (tree.parent / "cache").iterdir()
    document = json.loads(cache.read_text())
    for entry in document["systems"].values():
        entry.update(change)
    cache.write_text(json.dumps(document))
    assert again(tree) == first


def test_a_cache_that_cannot_be_written_ends_nothing(tree):
    write(tree.parent / "cache", "a file in place of the folder")
    assert again(tree).good
