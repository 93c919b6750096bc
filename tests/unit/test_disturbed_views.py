"""A disturbed result is told wherever a person or a program meets it, and keeps LoadGen's verdict."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from results_parts import add_run, record_of

from orchestrator import cli
from orchestrator.commands.results_view import show_comparisons
from orchestrator.commands.run_view import headline, show
from orchestrator.console import Console
from orchestrator.facts.containers import Owner
from orchestrator.facts.processors import Disturbance, Holder, Reservation, reasons
from orchestrator.facts.record_file import from_json, to_json
from orchestrator.results.compare import Comparison
from orchestrator.results.report import render
from orchestrator.results.store import Store
from orchestrator.results.summary import document, summarise

HOLDER = Holder(
    session="20261124T0141Z-aaaa", run_id="20261124T014100Z-other", user="eve", since="2026-11-24T01:41:00Z",
    owner=Owner(pid=77, start_ticks=1, boot_id="b"), cpus=(2, 3),
)  # fmt: skip
BUSY = Disturbance(
    window="test", seconds=10.0, cpus=(0, 1), own=0.5, others=0.48, worst_others=0.6, steal=0.011, load=(4.0, 4.25),
    other_runs=(HOLDER,), unknown=("why something is not known",),
)  # fmt: skip
DISTURBED = replace(BUSY, reasons=reasons(BUSY))
WAITED = Reservation(cpus=(0, 1), waited_s=12.3, waited_for=(HOLDER,))
WHY = "other programs used 48.0 % of its processors (more than 5 %)"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


@pytest.fixture
def disturbed(store):
    """A VALID run beside which something else ran."""
    record, folder = add_run(store, "offline")
    record = replace(record, disturbance=DISTURBED, reservation=WAITED)
    (folder / "run.json").write_text(to_json(record))
    return summarise(from_json(to_json(record), path="run.json"), folder)


@pytest.fixture
def quiet(store):
    record, folder = add_run(store, "server", 7)
    return summarise(replace(record, disturbance=replace(BUSY, others=0.01, unknown=())), folder)


def test_the_verdict_stays_loadgen_s(disturbed):
    assert (disturbed.verdict, disturbed.good, disturbed.disturbed) == ("VALID", True, (WHY,))


def test_the_table_of_a_run_tells_it_with_the_figure(disturbed, quiet, capsys):
    show(Console(), [disturbed, quiet], "results")
    out, err = capsys.readouterr()
    assert out.count("VALID, disturbed") == 1
    assert f"image-fashion Offline performance was disturbed: {WHY}" in " ".join((out + err).split())
    assert (out + err).count("was disturbed") == 1
    assert headline(disturbed).startswith("VALID, disturbed, ")
    assert "disturbed" not in headline(quiet)


def test_several_tests_that_were_disturbed_are_told_in_one_line(disturbed, store, capsys):
    record, folder = add_run(store, "server", 7)
    other = summarise(replace(record, disturbance=replace(DISTURBED, reasons=("heat",))), folder)
    show(Console(), [disturbed, other], "results")
    said = " ".join("".join(capsys.readouterr()).split())
    names = "image-fashion Offline performance, image-fashion Server performance"
    assert f"2 tests were disturbed: {names}. The first: {WHY}; `mlorch results show RUN` has each" in said
    assert said.count("disturbed:") == 1


def test_a_comparison_tells_it_once_for_each_side(disturbed, store, capsys):
    record, folder = add_run(store, "server", 7)
    other = summarise(replace(record, disturbance=DISTURBED), folder)
    pairs = [
        Comparison(was=one, now=replace(one, record=replace(one.record, disturbance=None)), verdict="same", reason="")
        for one in (disturbed, other)
    ]
    show_comparisons(Console(), pairs, 0.05)
    said = " ".join("".join(capsys.readouterr()).split())
    assert said.count("disturbed:") == 1
    assert "before: 2 tests were disturbed: " in said


def test_of_a_test_that_was_made_again_the_last_try_is_explained(disturbed, store, capsys):
    """The try before it is a row of the table and a word, and no warning: what counts is the last one."""
    record, folder = add_run(store, "server-invalid", 9)
    earlier = summarise(replace(record, scenario="Offline", disturbance=DISTURBED), folder)
    show(Console(), [earlier, disturbed], "results")
    out, err = capsys.readouterr()
    said = " ".join((out + err).split())
    assert "tries, of which the last counts: image-fashion Offline performance (2); " in said
    assert said.count("was disturbed") == 1
    assert "warning: image-fashion Offline performance: INVALID" not in said
    show(Console(), [disturbed, earlier], "results")
    said = " ".join("".join(capsys.readouterr()).split())
    assert "warning: image-fashion Offline performance: INVALID" in said
    assert str(folder / "console.log") in said.replace(" ", "")


def test_results_show_has_the_figures_and_what_is_not_known(disturbed, store, capsys):
    assert cli.run(["results", "show", disturbed.record.run_id, "--results", str(store.root)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "verdict VALID" in lines
    assert f"disturbed {WHY}" in lines
    assert "processors: by other programs 48.00 %" in lines
    assert "processors: load average before and after 4.00, 4.25" in lines
    assert "processors: not known why something is not known" in lines
    assert any("another mlorch meanwhile run 20261124T014100Z-other of user eve" in line for line in lines)
    assert any(line.startswith("processors reserved 0-1; after 12.3 s; waited for run 2026") for line in lines)


def test_list_and_json_tell_it_too(disturbed, quiet, store, capsys):
    (quiet.folder / "run.json").write_text(to_json(quiet.record))
    cli.run(["results", "list", "--results", str(store.root)])
    assert capsys.readouterr().out.count("VALID, disturbed") == 1
    cli.run(["results", "list", "--results", str(store.root), "--json"])
    by_id = {one["run_id"]: one for one in json.loads(capsys.readouterr().out)["results"]}
    found = by_id[disturbed.record.run_id]
    assert (found["valid"], found["disturbed"], found["disturbance"]["others"]) == (True, True, 0.48)
    assert found["reservation"]["waited_s"] == 12.3
    assert by_id[quiet.record.run_id]["disturbed"] is False


def test_what_is_not_known_is_not_called_undisturbed(quiet):
    unknown = replace(quiet.record, disturbance=replace(BUSY, others=None))
    assert document(replace(quiet, record=unknown))["disturbed"] is None


def test_the_report_marks_it(disturbed, quiet):
    page = render([disturbed, quiet])
    assert page.count(f"<li>Disturbed: {WHY}</li>") == 1
    assert page.count('<span class="badge wait">disturbed</span>') == 2  # in the table of all, and on its own
    assert "after 12.3 s; waited for run 20261124T014100Z-other of user eve" in page


def test_older_records_say_nothing_of_it():
    text = to_json(record_of("offline"))
    document = json.loads(text)
    del document["disturbance"], document["reservation"]
    record = from_json(json.dumps(document), path="run.json")
    assert (record.disturbance, record.reservation) == (None, None)
