"""Trees that somebody made to harm whoever checks them: bounded, told, and never followed."""

from __future__ import annotations

import json
import os
import random
import time

import pytest
from submission_parts import LLAMA, RESNET, change_log, check, found, good_tree, line, rules, write

from orchestrator.submissions import tree as trees
from orchestrator.submissions.accuracy_text import parse_accuracy
from orchestrator.submissions.tree import list_tree

OFFLINE = f"{RESNET}/Offline"
DETAIL = f"{OFFLINE}/performance/run_1/mlperf_log_detail.txt"
READ = (
    DETAIL,
    f"{OFFLINE}/accuracy/mlperf_log_detail.txt",
    f"{OFFLINE}/accuracy/accuracy.txt",
    "closed/Acme/systems/box.json",
    "closed/Acme/measurements/box/resnet/Offline/box_ours_Offline.json",
    "closed/Acme/compliance/box/resnet/Offline/TEST01/verify_performance.txt",
    "closed/Acme/compliance/box/resnet/Offline/TEST04/performance/run_1/mlperf_log_detail.txt",
)
CONTENT = {
    "nothing": b"",
    "zeros": b"\0" * 4096,
    "binary": random.Random(7).randbytes(4096),
    "no end of brackets": b"[" * 100_000,
    "a list": b"[1, 2]",
    "half a character": b'{"status": "\\ud800"}',
    "a number too large": b'{"status": 1e999}',
    "other types": json.dumps({"status": [1], "system_type": {"a": 1}, "submitter": 7, "division": None}).encode(),
    "a line of megabytes": b':::MLLOG {"key": "' + b"x" * 3_000_000,
    "entries of other types": line("effective_scenario", [1]).encode() + b"\n" + line("result_validity", {}).encode(),
}


@pytest.fixture
def tree(tmp_path):
    return good_tree(tmp_path / "tree")


@pytest.mark.parametrize("name", CONTENT)
def test_whatever_stands_in_a_file_it_is_refused_and_ends_nothing(tree, name):
    for path in READ:
        (tree / path).write_bytes(CONTENT[name])
    checked = check(tree)
    assert OFFLINE in checked.refused
    assert f"{LLAMA}/Offline" in {each[checked.columns.index("Location")] for each in checked.rows}
    assert not any("could not be judged" in each.message for each in checked.findings)


@pytest.mark.parametrize("path", READ)
def test_a_pipe_in_place_of_a_file_is_told_and_not_waited_for(tree, path):
    (tree / path).unlink()
    os.mkfifo(tree / path)
    checked = check(tree)
    assert ("odd-files", path) in found(checked)
    assert not checked.good


@pytest.mark.parametrize("path", READ)
def test_a_link_out_of_the_tree_is_told_and_not_followed(tree, path, tmp_path):
    secret = tmp_path / "secret"
    (tree / path).rename(secret)
    (tree / path).symlink_to(secret)
    checked = check(tree)
    assert ("links-out", path) in found(checked)
    assert not any(each[checked.columns.index("Location")] == OFFLINE for each in checked.rows)


def test_a_linked_folder_is_not_entered(tree, tmp_path):
    (tree / OFFLINE).rename(tmp_path / "away")
    (tree / OFFLINE).symlink_to(tmp_path / "away")
    checked = check(tree)
    assert ("links-out", OFFLINE) in found(checked)
    assert checked.results == 3


def test_links_within_the_tree_are_good_for_code(tree):
    (tree / "closed/Acme/code/resnet").rename(tree / "closed/Acme/code/vision")
    (tree / "closed/Acme/code/resnet").symlink_to("vision")
    assert check(tree).good
    assert check(tree, official=True).good
    (tree / "closed/Acme/code/vision/NOTES.md").symlink_to("README.md")
    assert check(tree).good
    # the official checker looks for the file of a link from the root of the tree
    assert ("broken-links", "closed/Acme/code/vision/NOTES.md") in found(check(tree, official=True))


def test_links_in_a_circle_lead_to_nothing(tree):
    (tree / "closed/Acme/code/one").symlink_to("two")
    (tree / "closed/Acme/code/two").symlink_to("one")
    assert ("broken-links", "closed/Acme/code/one") in found(check(tree))


def test_a_tree_without_end_is_cut(tree, monkeypatch):
    monkeypatch.setattr(trees, "MOST_ENTRIES", 50)
    checked = check(tree)
    assert "whole-tree" in {each.rule for each in checked.findings}
    assert not checked.good


def test_folders_without_end_are_not_entered(tree):
    (tree / "closed/Acme/code" / "/".join("d" * 60)).mkdir(parents=True)
    assert any(rule == "odd-files" for rule, _ in found(check(tree)))


def test_a_name_that_steers_a_terminal_is_told(tree):
    write(tree / "closed/Acme/code/resnet/\x1b[2J.txt", "x")
    assert any("steer" in each.message for each in check(tree).findings)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told(tree):
    (tree / DETAIL).chmod(0)
    assert ("detail-log", DETAIL) in found(check(tree))


def test_a_key_that_stands_twice_in_json_is_doubtful_and_taken(tree):
    path = tree / "closed/Acme/systems/box.json"
    path.write_text(path.read_text().replace('"cooling": "N/A"', '"cooling": "air", "cooling": "N/A"'))
    checked = check(tree)
    assert found(checked) == {("json-doubt", "closed/Acme/systems/box.json")}
    assert checked.good


def test_a_log_of_two_tests_is_told(tree):
    change_log(tree, OFFLINE, line("result_samples_per_second", 999999.5))
    checked = check(tree)
    assert found(checked) == {("one-test", DETAIL)}


def test_a_line_of_accuracy_of_megabytes_is_read_in_time():
    known = rules().checker.accuracy_lines
    text = "{'rouge1': 1.0, " * 200_000
    assert len(parse_accuracy(text, {name: known[name] for name in ("ROUGE1", "acc", "F1")}).figures) == 1


def test_accuracy_that_is_nothing_but_figures_is_read_in_time():
    known = rules().checker.accuracy_lines
    began = time.process_time()
    found = parse_accuracy("accuracy=76.46%, good=38230\n" * 100_000, {"acc": known["acc"]})
    assert (len(found.figures), found.figures[-1].line) == (100_000, 100_000)
    assert time.process_time() - began < 8


def test_random_changes_of_a_tree_are_always_told(tree):
    """A byte here and there: every check ends with findings or rows, whatever was hit."""
    chance = random.Random(11)
    kept = {path: (tree / path).read_bytes() for path in READ}
    for _ in range(150):
        path = chance.choice(READ)
        data = bytearray(kept[path])
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        (tree / path).write_bytes(bytes(data))
        checked = check(tree)
        assert checked.results == 4
        assert not any("could not be judged" in each.message for each in checked.findings)
        (tree / path).write_bytes(kept[path])


def test_the_listing_follows_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to("..")
    listed = list_tree(tmp_path)
    assert listed.entries == 2
    assert listed.root.folders["a"].links == {"loop": ".."}
    assert listed.leads_out("a/loop", "../..")
    assert not listed.leads_out("a/loop", "..")
