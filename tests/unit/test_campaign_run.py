"""Campaigns that are run, cut short in every way and gone on with: each cell once, nothing that ended again."""

from __future__ import annotations

import errno
import os
import shutil

import pytest
from campaign_parts import Machine, a_campaign, a_run, good_records, planned, run_all

from orchestrator.campaigns.folder import campaign_lock, is_running, read_plan
from orchestrator.campaigns.journal import NAME, Journal, JournalLine, read_journal
from orchestrator.errors import EngineError, InterruptedRun, NoLocksError, StepFailed, UsageError
from orchestrator.host import clock
from orchestrator.host.files import WriteFailed
from orchestrator.operations.campaign.export import campaign_rows
from orchestrator.operations.campaign.merge import merge_campaigns
from orchestrator.operations.campaign.status import campaign_status

MATRIX = "{benchmark: [one], scenario: [Offline, SingleStream]}"
CELLS = ["one Offline accuracy", "one Offline performance", "one SingleStream performance"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """No disk has to keep what these tests write, and no machine is asked what else it does."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def campaign():
    return a_campaign(MATRIX)


def test_each_cell_is_run_once_in_order_and_a_second_run_has_nothing_left(campaign, tmp_path, monkeypatch):
    machine, ready = Machine(), a_run(campaign, tmp_path)
    ends = run_all(ready, machine, monkeypatch)
    assert machine.ran == CELLS
    assert [end.outcome for end in ends] == ["done"] * 3
    assert ready.plan.counts()["done"] == 3
    assert run_all(a_run(campaign, tmp_path), machine, monkeypatch) == []
    assert list(good_records(tmp_path).values()) == [1, 1, 1]


@pytest.mark.parametrize("after", [False, True], ids=["in the test", "once its record is closed"])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("stop", [InterruptedRun("stopped"), EngineError("gone"), MemoryError()])
def test_what_was_cut_short_goes_on_with_that_cell_and_no_other(campaign, tmp_path, monkeypatch, stop, number, after):
    first, second = Machine(stop=(number, stop), after=after), Machine()
    second.numbers = iter(range(10, 20))
    with pytest.raises(type(stop)):
        run_all(a_run(campaign, tmp_path), first, monkeypatch)
    run_all(a_run(campaign, tmp_path), second, monkeypatch)
    assert second.ran == CELLS[number if after else number - 1 :]
    assert list(good_records(tmp_path).values()) == [1, 1, 1]
    assert campaign_status(tmp_path).counts()["done"] == 3


def test_a_journal_cut_at_every_byte_of_its_last_three_lines_comes_to_the_same(tmp_path, monkeypatch):
    campaign = a_campaign(MATRIX, accuracy="none")
    run_all(a_run(campaign, tmp_path), Machine(), monkeypatch)
    whole = (tmp_path / NAME).read_bytes()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 4
    machine = Machine()
    for cut in range(len(lines[0]), len(whole) + 1):
        (tmp_path / NAME).write_bytes(whole[:cut])
        ready = a_run(campaign, tmp_path)
        assert run_all(ready, machine, monkeypatch) == [], cut
        assert ready.plan.counts()["done"] == 2, cut
        assert read_journal(tmp_path).rest == 0
    assert machine.ran == []
    assert list(good_records(tmp_path).values()) == [1, 1]


@pytest.mark.parametrize("keep", [0, 1, 3, 4], ids="all but the first {} lines lost".format)
def test_a_journal_cut_while_a_cell_ran_has_that_cell_run_again_and_no_other(campaign, tmp_path, monkeypatch, keep):
    with pytest.raises(InterruptedRun):
        run_all(a_run(campaign, tmp_path), Machine(stop=(3, InterruptedRun("stopped"))), monkeypatch)
    lines = (tmp_path / NAME).read_bytes().splitlines(keepends=True)
    (tmp_path / NAME).write_bytes(b"".join(lines[:keep]))
    machine = Machine(numbers=iter(range(10, 20)))
    run_all(a_run(campaign, tmp_path), machine, monkeypatch)
    assert machine.ran == CELLS[2:]
    assert list(good_records(tmp_path).values()) == [1, 1, 1]


def test_a_journal_damaged_in_the_middle_is_kept_aside_and_the_records_tell_the_rest(campaign, tmp_path, monkeypatch):
    run_all(a_run(campaign, tmp_path), Machine(), monkeypatch)
    data = bytearray((tmp_path / NAME).read_bytes())
    data[120] ^= 1
    (tmp_path / NAME).write_bytes(data)
    said = []

    class Talk:
        say = warn = staticmethod(lambda text, **_: said.append(text))

    machine = Machine()
    run_all(a_run(campaign, tmp_path), machine, monkeypatch, Talk())
    assert machine.ran == []
    assert "damaged from line 2 on; it is kept as journal.damaged-1" in said[0]
    assert (tmp_path / "journal.damaged-1").read_bytes() == data
    assert campaign_status(tmp_path).counts()["done"] == 3


def test_a_clock_that_steps_back_changes_nothing(campaign, tmp_path, monkeypatch):
    with pytest.raises(InterruptedRun):
        run_all(a_run(campaign, tmp_path), Machine(stop=(2, InterruptedRun("stopped"))), monkeypatch)
    monkeypatch.setattr(clock, "_BEGAN_NS", clock._BEGAN_NS - 10 * 365 * 86400 * 10**9)
    machine = Machine(numbers=iter(range(10, 20)))
    run_all(a_run(campaign, tmp_path), machine, monkeypatch)
    assert machine.ran == CELLS[1:]
    assert campaign_status(tmp_path).counts()["done"] == 3


def test_two_at_once_do_not_run_a_cell_twice(campaign, tmp_path, monkeypatch):
    with campaign_lock(tmp_path):
        assert is_running(tmp_path)
        monkeypatch.setattr("orchestrator.campaigns.folder._PAUSE_S", 0)
        with pytest.raises(StepFailed, match=f"process {os.getpid()} runs the campaign") as caught:
            run_all(a_run(campaign, tmp_path), Machine(), monkeypatch)
    assert caught.value.slug == "campaign-busy"
    assert not is_running(tmp_path)


def test_a_folder_that_cannot_be_locked_is_told_with_what_to_do(campaign, tmp_path, monkeypatch):
    def no_locks(*_arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(NoLocksError, match="cannot be locked") as caught:
        run_all(a_run(campaign, tmp_path), Machine(), monkeypatch)
    assert caught.value.hint == "name a folder of results on a local disk with -o"


def test_a_full_disk_stops_the_campaign_and_loses_nothing(campaign, tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    real = os.write
    machine = Machine()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[: 40 if machine.ran else None]))
        with pytest.raises(WriteFailed):
            run_all(a_run(campaign, tmp_path), machine, monkeypatch)
    assert len(machine.ran) == 1
    assert [line.outcome for line in read_journal(tmp_path).lines] == [""]
    assert (read_journal(tmp_path).rest, journal.lines) == (0, [])
    second = Machine(numbers=iter(range(10, 20)))
    run_all(a_run(campaign, tmp_path), second, monkeypatch)
    assert second.ran == CELLS[1:]


# -- what its policy says ---------------------------------------------------------------------


def test_a_failed_cell_is_tried_again_as_often_as_its_policy_says_and_anew_when_it_goes_on(tmp_path, monkeypatch):
    campaign = a_campaign(MATRIX, policy={"retries": 2})
    failing = StepFailed("no luck", slug="harness-failed")
    machine = Machine()
    monkeypatch.setattr(machine, "run", _failing(machine, "SingleStream", failing))
    ends = run_all(a_run(campaign, tmp_path), machine, monkeypatch)
    assert [end.outcome for end in ends] == ["done", "done", "failed", "failed", "failed"]
    assert ends[-1].why == "no luck [harness-failed]"
    status = campaign_status(tmp_path)
    assert (status.counts()["failed"], status.cells[-1].end.why) == (1, "no luck [harness-failed]")
    second = Machine(numbers=iter(range(20, 30)))
    assert [end.outcome for end in run_all(a_run(campaign, tmp_path), second, monkeypatch)] == ["done"]


def _failing(machine, part, error):
    real = machine.run

    def run(context, request, *rest):
        if part in request.scenarios[0]:
            machine.ran.append("failed")
            raise error
        yield from real(context, request, *rest)

    return run


def test_a_result_that_does_not_count_is_tried_again_once_and_then_is_the_result(tmp_path, monkeypatch):
    campaign = a_campaign(MATRIX, policy={"retries": 1})
    machine = Machine(verdicts={"SingleStream": ["INVALID", "INVALID"]})
    ends = run_all(a_run(campaign, tmp_path), machine, monkeypatch)
    assert [end.outcome for end in ends] == ["done", "done", "invalid", "invalid"]
    assert run_all(a_run(campaign, tmp_path), machine, monkeypatch) == []
    again = Machine(numbers=iter(range(20, 30)))
    assert [end.outcome for end in run_all(a_run(campaign, tmp_path, again=True), again, monkeypatch)] == ["done"]
    assert again.ran == CELLS[2:]


def test_a_campaign_stops_after_so_many_failures_in_a_row(tmp_path, monkeypatch):
    campaign = a_campaign("{benchmark: [one, two]}", policy={"stop_after": 2}, accuracy="none")
    machine = Machine()
    monkeypatch.setattr(machine, "run", _failing(machine, "", StepFailed("no luck")))
    with pytest.raises(StepFailed, match="stops after 2 cells in a row that failed; 6 are left") as caught:
        run_all(a_run(campaign, tmp_path), machine, monkeypatch)
    assert caught.value.slug == "campaign-stopped"
    assert len(machine.ran) == 2


# -- what is measured already -----------------------------------------------------------------


def test_a_changed_recipe_runs_what_it_changes_and_the_rest_is_taken_as_it_is(campaign, tmp_path, monkeypatch):
    run_all(a_run(campaign, tmp_path), Machine(), monkeypatch)
    changed = (*planned(campaign)[:2], planned(campaign, batch="8")[2])
    machine = Machine(numbers=iter(range(10, 20)))
    run_all(a_run(campaign, tmp_path, changed), machine, monkeypatch)
    assert machine.ran == CELLS[2:]
    run_all(a_run(campaign, tmp_path), machine, monkeypatch)  # as it was before
    assert machine.ran == CELLS[2:]


def test_a_cell_whose_result_is_gone_is_run_again(campaign, tmp_path, monkeypatch):
    run_all(a_run(campaign, tmp_path), Machine(), monkeypatch)
    run = read_journal(tmp_path).lines[-1]
    shutil.rmtree(tmp_path / "cells" / run.folder / run.runs[-1])
    machine = Machine(numbers=iter(range(10, 20)))
    run_all(a_run(campaign, tmp_path), machine, monkeypatch)
    assert machine.ran == CELLS[2:]


def test_the_plan_tells_a_status_without_any_recipe(campaign, tmp_path, monkeypatch):
    run_all(a_run(campaign, tmp_path), Machine(), monkeypatch)
    cells = read_plan(tmp_path)
    assert [(cell.axes["scenario"], cell.mode) for cell in cells] == [
        ("Offline", "accuracy"), ("Offline", "performance"), ("SingleStream", "performance"),
    ]  # fmt: skip
    (tmp_path / "plan.json").write_text('{"version": 2}')
    with pytest.raises(StepFailed, match="has version 2"):
        campaign_status(tmp_path)


def test_rows_have_the_accuracy_beside_each_performance_and_say_what_is_gone(campaign, tmp_path, monkeypatch):
    run_all(a_run(campaign, tmp_path), Machine(), monkeypatch)
    (tmp_path / "cells" / read_journal(tmp_path).lines[-1].folder / read_journal(tmp_path).lines[-1].runs[-1]
     / "run.json").write_text("{}")  # fmt: skip
    rows = campaign_rows(tmp_path)
    assert [row["verdict"] for row in rows] == ["PASSED", "VALID", None]
    assert rows[1]["accuracy_image"] == rows[0]["image"]
    assert "version None" in rows[2]["why"]


# -- parts of several machines -----------------------------------------------------------------


class Told:
    """Keeps what is said."""

    def __init__(self):
        self.lines = []

    def say(self, text, **_):
        self.lines.append(text)

    warn = say


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Two machines that measured a part each, and the accuracy both."""
    campaign = a_campaign("{benchmark: [one], scenario: [Offline, SingleStream], duration: [1s, 2s]}")
    cells = planned(campaign)
    folders = (tmp_path / "a", tmp_path / "b")
    for start, (folder, mine) in enumerate(zip(folders, (cells[:3], (cells[0], *cells[3:])), strict=True)):
        machine = Machine(numbers=iter(range(10 + 20 * start, 30 + 20 * start)))
        run_all(a_run(campaign, folder, mine), machine, monkeypatch)
    return folders


def test_parts_are_merged_once_whatever_is_repeated_and_the_accuracy_of_both_is_told(parts):
    ours, theirs = parts
    merged = merge_campaigns(ours, [theirs], Told())
    assert (len(merged.taken), len(merged.duplicates), merged.unreadable) == (2, 1, ())
    assert campaign_status(ours).counts()["done"] == 5
    assert list(good_records(ours).values()) == [1] * 5
    assert [row["verdict"] for row in campaign_rows(ours)] == ["PASSED"] + ["VALID"] * 4
    assert merge_campaigns(ours, [theirs], Told()).taken == ()
    assert campaign_status(ours).counts()["total"] == 5


def test_two_results_of_one_test_are_refused_with_both_and_nothing_is_changed(tmp_path, campaign, monkeypatch):
    ours, theirs = tmp_path / "a", tmp_path / "b"
    for start, folder in enumerate((ours, theirs)):
        machine = Machine(numbers=iter(range(10 + 20 * start, 30 + 20 * start)))
        run_all(a_run(campaign, folder), machine, monkeypatch)
    before = (ours / NAME).read_bytes()
    with pytest.raises(StepFailed, match="2 cells were measured on both sides") as caught:
        merge_campaigns(ours, [theirs], Told())
    assert caught.value.slug == "merge-conflict"
    for folder in (ours, theirs):
        assert f"(done) in {folder}" in caught.value.message
    assert (ours / NAME).read_bytes() == before


def test_a_merge_that_was_cut_short_is_done_by_the_next_and_a_broken_record_is_not_taken(parts):
    ours, theirs = parts
    lost = read_journal(theirs).lines[-1]
    (theirs / "cells" / lost.folder / lost.runs[-1] / "run.json").write_text("{")
    told = Told()
    first = merge_campaigns(ours, [theirs], told)
    assert (len(first.taken), first.unreadable) == (1, (lost.folder,))
    assert "cannot be read: its cell is not taken" in told.lines[0]
    data = (ours / NAME).read_bytes()
    (ours / NAME).write_bytes(b"".join(data.splitlines(keepends=True)[:-1]))  # copied, and its line is lost
    assert merge_campaigns(ours, [theirs], Told()).taken == first.taken
    assert (ours / NAME).read_bytes() == data


def test_what_is_no_campaign_is_not_merged(tmp_path):
    with pytest.raises(UsageError, match="no campaign was begun in"):
        merge_campaigns(tmp_path / "a", [tmp_path / "b"], Told())


@pytest.mark.parametrize(
    "cells", ["7", "[[1]]", '[["p","../x","m",1,{}]]', '[["p","f","m",1,[]]]', '[["p","f","m",1,{"a":1}]]']
)
def test_a_plan_that_no_mlorch_wrote_is_told(tmp_path, cells):
    (tmp_path / "plan.json").write_text(f'{{"version": 1, "cells": {cells}}}')
    with pytest.raises(StepFailed, match="is no plan of a campaign"):
        campaign_status(tmp_path)


@pytest.mark.parametrize(
    ("folder", "runs"),
    [
        *(("../../etc", []), ("a/b", []), ("", []), ("a\0b", []), ("\ud800", []), ("a\n", []), ("a\x1b[2J", [])),
        *(("f", ["../x"]), ("f", [""]), ("f", ["a\0b"]), ("f", [1])),
    ],
)
def test_a_journal_leads_nowhere_else(tmp_path, folder, runs):
    Journal(tmp_path).append(JournalLine("p", folder, "done", tuple(runs)))
    assert read_journal(tmp_path).lines == ()


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -1.0, 10**400, 1e300])
def test_a_time_that_no_cell_can_have_taken_is_not_believed(tmp_path, seconds):
    Journal(tmp_path).append(JournalLine("p", "f", "done", ("r",), seconds))
    assert read_journal(tmp_path).lines == ()


@pytest.mark.parametrize("name", ["lock", NAME])
@pytest.mark.parametrize("pipe", [False, True])
def test_a_link_or_a_pipe_in_the_place_of_a_file_is_told_and_what_it_leads_to_stays(
    campaign, tmp_path, monkeypatch, name, pipe
):
    """In a folder of results that others may write in: nothing is emptied, and nobody waits for ever."""
    precious, folder = tmp_path / "precious", tmp_path / "c"
    precious.write_text("precious")
    folder.mkdir()
    if pipe:
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(precious)
    with pytest.raises(StepFailed) as caught:
        run_all(a_run(campaign, folder), Machine(), monkeypatch)
    assert caught.value.slug == {"lock": "bad-lock", NAME: "journal"}[name]
    assert ("is no regular file" if pipe else "is a link") in caught.value.message
    assert precious.read_text() == "precious"
    (folder / "plan.json").write_text('{"version": 1, "cells": []}')
    if name == "lock":
        assert not campaign_status(folder).running


def test_a_cell_that_is_a_link_is_not_copied(parts):
    ours, theirs = parts
    lost = read_journal(theirs).lines[-1]
    place = theirs / "cells" / lost.folder
    place.rename(theirs / "elsewhere")
    place.symlink_to(theirs / "elsewhere")
    assert merge_campaigns(ours, [theirs], Told()).unreadable == (lost.folder,)
    assert not (ours / "cells" / lost.folder).exists()
