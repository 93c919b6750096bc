"""Files of what is known of a system, findings and trials: what others wrote in them takes nothing else with it."""

from __future__ import annotations

import json
import os

import pytest

from orchestrator.operations.tune import tried
from orchestrator.runs import trials, tuning


def test_a_line_that_is_no_trial_is_stepped_over(tmp_path):
    file = tmp_path / "x.trials.jsonl"
    whole = trials.Trial(key="k", content_id="c", cpus=2, state="done", parameters={"batch": 4}, value=1.0)
    trials.append(file, whole)
    with file.open("a") as out:
        out.write("[]\n{}\nnull\n\xff\n" + json.dumps({"key": "k"}) + "\n")
    trials.append(file, whole)
    assert trials.load(file) == [whole, whole]
    assert trials.load(tmp_path / "absent") == []


def test_a_line_may_hold_other_ends_of_lines(tmp_path):
    """U+2028 and U+0085 in an error's words end no line of the file."""
    file = tmp_path / "x.trials.jsonl"
    failed = trials.Trial(
        key="b/t/s", content_id="c", cpus=2, state="failed", parameters={}, why="no\u2028such\x85file"
    )
    trials.append(file, failed)
    assert trials.load(file) == [failed]


def test_a_trial_of_no_test_is_not_shown(tmp_path):
    for key in ("k", "b/cpu/Offline"):
        one = trials.Trial(key=key, content_id="c", cpus=2, state="done", parameters={}, value=1.0)
        trials.append(trials.trials_file(tmp_path, "sys"), one)
    assert [one.benchmark for one in tried(tmp_path, "sys")] == ["b"]


@pytest.mark.parametrize(
    "entry",
    [
        '{"benchmark": "b", "of_a_later_version": 1}',
        '{"settings": {"target_qps": 1%s}}' % ("0" * 19),
        "7",
    ],
)
def test_an_entry_that_cannot_be_read_takes_no_other_with_it(tmp_path, entry):
    """Two versions of mlorch on one system: the older one must not throw away what the newer one found."""
    file = tmp_path / "sys.json"
    tuned = tuning.Tuned(
        benchmark="b",
        target="cpu",
        scenario="Server",
        content_id="c",
        settings={"target_qps": 5.0},
        run_id="r",
        found="f",
    )
    tuning.store(file, tuned)
    document = json.loads(file.read_text())
    document["tuned"]["other/cpu/Server"] = json.loads(entry)
    file.write_text(json.dumps(document))
    assert tuning.load(file) == {tuned.key: tuned}
    tuning.store(file, tuned)
    assert json.loads(file.read_text()) == document


@pytest.mark.parametrize("text", ["[" * 100_000, '{"version": 1, "tuned": NaN}', '{"version": 1}', "", "\0"])
def test_a_file_that_is_none_counts_as_empty(tmp_path, text):
    (tmp_path / "sys.json").write_text(text)
    assert tuning.load(tmp_path / "sys.json") == {}


def test_a_pipe_in_place_of_the_findings_holds_nothing_up(tmp_path):
    os.mkfifo(tmp_path / "sys.json")
    assert tuning.load(tmp_path / "sys.json") == {}
