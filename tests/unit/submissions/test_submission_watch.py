"""`submission check --watch`: a tree that grows, and what is told of it when."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import pytest
from submission_parts import RESNET, change_log, good_tree, line, values_of, write

from orchestrator.api.calls import only_context
from orchestrator.cli import run
from orchestrator.commands import submission_watch_view
from orchestrator.operations.submission_watch import STILL_S, watch_submission
from orchestrator.operations.submissions import CheckRequest
from orchestrator.submissions import check as checking
from orchestrator.submissions import kept

LOG = f"{RESNET}/Offline/performance/run_1/mlperf_log_detail.txt"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One for all tests, so that recipes are read once; what is kept of a tree goes by its path."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def tree(tmp_path, monkeypatch, home):
    monkeypatch.setenv("MLORCH_HOME", str(home))
    tree = good_tree(tmp_path / "tree")
    for folder, _, names in os.walk(tree):
        for name in names:
            os.utime(Path(folder, name), (1, 1))  # it lay there long before
    return tree


def steps(tree: Path, *actions) -> list:
    """What is told while something is done to a tree: each of ``actions`` between two looks, a number as seconds."""
    waiting, told, clock = list(actions), [], [0.0]

    def pause(seconds: float) -> None:
        clock[0] += seconds
        if not waiting:
            raise KeyboardInterrupt
        action = waiting.pop(0)
        if callable(action):
            action()
        else:
            clock[0] += action

    watch = watch_submission(only_context({}), CheckRequest(tree=tree, round="v5.1"), pause=pause, now=lambda: clock[0])
    with pytest.raises(KeyboardInterrupt):
        told.extend(_each(watch, told))
    return told


def _each(watch, told):
    for step in watch:
        told.append(step)
    return []


def rules(findings) -> set[str]:
    return {each.rule for each in findings}


def test_findings_come_and_go_with_what_they_are_of(tree):
    stray = tree / "stray.txt"
    first, second, third = steps(tree, lambda: write(stray, "x"), 1, stray.unlink, 1)
    assert (first.new, first.gone, first.waiting) == ((), (), ())
    assert first.check.good
    assert (rules(second.new), rules(second.gone)) == ({"root-files"}, set())
    assert (rules(third.new), rules(third.gone)) == (set(), {"root-files"})
    assert third.check.good


def test_a_log_that_is_being_written_is_not_complete_yet_and_no_error(tree):
    lines = [line(key, value) for key, value in values_of("Offline").items()]
    whole = "\n".join(lines) + "\n"
    half = whole[: len(whole) // 2]
    log = tree / LOG
    first, *growing, last = steps(
        tree,
        lambda: log.write_text(half),
        1,
        lambda: log.write_text(half + "x"),
        1,
        lambda: log.write_text(whole),
        1,
        STILL_S,
    )
    assert first.check.good
    assert not growing[0].check.good
    assert growing[0].waiting == (RESNET, LOG)
    assert last.waiting == ()
    assert last.check.good
    assert [step for step in (first, *growing, last) if step.new or step.gone] == []


def test_a_description_that_is_being_written_waits_alone(tree):
    system = tree / "closed" / "Acme" / "systems" / "box.json"

    def cut() -> None:
        system.write_text("{")
        write(tree / "closed" / "Acme" / ".hidden", "x")

    _, second, third = steps(tree, cut, 1, STILL_S)
    assert rules(second.new) == {"hidden-names"}
    assert "closed/Acme/systems/box.json" in second.waiting
    assert all("box" in path for path in second.waiting)
    assert "system-json" in rules(third.new)


def test_a_log_that_stays_broken_is_told_when_it_is_still(tree):
    log = tree / LOG
    _, second, third = steps(tree, lambda: log.write_text(":::MLLOG {"), STILL_S / 2, STILL_S)
    assert (second.new, second.waiting) == ((), (RESNET, LOG))
    assert {"detail-log", "result", "complete"} <= rules(third.new)
    assert third.waiting == ()


def test_a_log_that_was_being_written_before_is_waited_for(tree):
    (tree / LOG).write_text(":::MLLOG {")
    first, second = steps(tree, 1, STILL_S)
    assert (first.new, first.waiting) == ((), (RESNET, LOG))
    assert "detail-log" in rules(second.new)


def test_what_lies_elsewhere_does_not_wait_for_a_log(tree):
    def grow_and_break() -> None:
        (tree / LOG).write_text(":::MLLOG {")
        change_log(tree, f"{RESNET}/SingleStream", effective_min_duration_ms=1)
        os.utime(tree / RESNET / "SingleStream/performance/run_1/mlperf_log_detail.txt", (1, 1))
        write(tree / "stray.txt", "x")

    told = steps(
        tree, grow_and_break, lambda: (tree / LOG).write_text(":::MLLOG {x"), 4, lambda: (tree / LOG).write_text(":"), 4
    )
    assert any("min-duration" in rules(step.new) for step in told[1:])
    assert all("detail-log" not in rules(step.new) for step in told)


def test_a_tree_without_results_is_waited_for(tree, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    tree.rename(elsewhere)
    (tree / "closed").mkdir(parents=True)

    def arrive() -> None:
        shutil.rmtree(tree)
        shutil.copytree(elsewhere, tree)

    first, *_, last = steps(tree, arrive, STILL_S, STILL_S)
    assert first.check is None
    assert last.check.good
    assert last.check.checked.results == 4


def test_only_the_system_that_changed_is_read_again(tree, monkeypatch):
    monkeypatch.setattr(kept, "_YOUNG_NS", 0)
    read: list[str] = []
    judge = checking.judge_unit

    def judged(source, book, unit):
        read.append(unit.system)
        return judge(source, book, unit)

    monkeypatch.setattr(checking, "judge_unit", judged)
    steps(tree, lambda: change_log(tree, f"{RESNET}/Offline", num_errors=1), 1)
    assert sorted(read) == ["box", "box", "rack"]


def test_other_forms_are_refused(tree, capsys):
    for form in ("json", "sarif", "github"):
        assert run(["submission", "check", str(tree), "--round", "v5.1", "--watch", "--format", form]) == 2
        assert "[watch-is-text]" in capsys.readouterr().err


def test_ctrl_c_ends_it_with_the_status_of_the_last_check(tree, capsys, monkeypatch, tmp_path):
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(submission_watch_view, "watch_submission", partial(watch_submission, pause=interrupted))
    words = ["submission", "check", str(tree), "--round", "v5.1", "--watch"]
    assert run([*words, "--csv", str(tmp_path / "rows.csv")]) == 0
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 5
    write(tree / "stray.txt", "x")
    assert run(words) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[1].startswith("+ stray.txt: error: ")
    assert out.splitlines()[-1].startswith("v5.1: 4 results, 4 rows, 1 error")
    assert err.splitlines()[-1] == "ended"
