"""Records and accuracy logs that somebody else wrote: their names reach no path, their sizes no memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hostile_run_parts import forge, key_pairs
from results_parts import add_run, record_of

from orchestrator.cli import run as mlorch
from orchestrator.operations.signing import sign_runs
from orchestrator.results import loadgen
from orchestrator.results.store import Store
from orchestrator.results.verify.verification import verify


@pytest.fixture
def key(tmp_path):
    return key_pairs(tmp_path)


def test_the_name_of_a_data_set_in_a_record_reaches_no_path(tmp_path, monkeypatch):
    record, folder = add_run(Store(tmp_path), "accuracy")
    asked = []
    monkeypatch.setattr(Path, "glob", lambda _self, pattern: asked.append(pattern) or [])
    for name in ("../../../*", "..", "/etc", "a/../../*", "*"):
        forge(folder, dataset=replace(record.dataset, name=name))
        assert mlorch(["results", "verify", "--results", str(tmp_path), "--json"]) in {0, 1}
    assert [pattern for pattern in asked if pattern.startswith("dataset")] == []


def test_a_record_under_another_name_is_written_nowhere_else(tmp_path):
    """A record that says `running` is closed by whoever looks: under its folder's name only."""
    store = Store(tmp_path / "results")
    folder = store.begin(record_of("offline"))
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/run.json").write_text("mine")
    forge(folder, run_id="../victim")
    assert store.sweep() == []
    assert (tmp_path / "victim/run.json").read_text() == "mine"


def test_the_session_in_a_record_is_no_path_of_a_report(tmp_path):
    _, folder = add_run(Store(tmp_path / "results"), "offline")
    (tmp_path / "results/report-x").mkdir()
    forge(folder, session="x/../../../stolen")
    assert mlorch(["results", "report", "--results", str(tmp_path / "results")]) == 0
    assert list(tmp_path.glob("**/stolen*")) == []
    assert len(list((tmp_path / "results").glob("report-*.html"))) == 1


def test_a_title_that_looks_like_mark_up_ends_no_command(tmp_path, capsys):
    record, folder = add_run(Store(tmp_path), "offline")
    forge(folder, note="[/red] x \x1b[2J", target="[bold]", benchmark="[/]")
    for words in (["list"], ["show"], ["verify"], ["report"]):
        assert mlorch(["results", *words, "--results", str(tmp_path)]) in {0, 1}
    assert "\x1b[2J" not in "".join(capsys.readouterr())
    assert record.note != ""


def test_a_large_accuracy_log_is_read_a_line_at_a_time(tmp_path, monkeypatch):
    """A gigabyte of empty lists would become twenty of memory."""
    _, folder = add_run(Store(tmp_path), "accuracy")
    monkeypatch.setattr("orchestrator.results.verify.accuracy._LARGEST_WHOLE", 100)
    assert verify(folder).faults == ()
    (folder / loadgen.ACCURACY).write_text("[" + "[],\n" * 1000 + "[]]")
    assert (loadgen.ACCURACY, "not a list of LoadGen's entries") in {(f.file, f.message) for f in verify(folder).faults}


@pytest.mark.parametrize(
    ("limit", "value", "why"),
    [
        ("_LONGEST_ANSWER", 40, "an answer of more than 40 bytes"),
        ("_MOST_ANSWERS", 10, "more than 10 answers"),
    ],
)
def test_an_honest_accuracy_log_that_is_too_large_to_check_is_no_fault_and_told(
    tmp_path, monkeypatch, key, limit, value, why
):
    from orchestrator.operations.progress import Silent

    _, folder = add_run(Store(tmp_path / "r"), "accuracy")
    monkeypatch.setattr("orchestrator.results.verify.accuracy._LARGEST_WHOLE", 100)
    monkeypatch.setattr(f"orchestrator.results.verify.accuracy.{limit}", value)
    found = verify(folder)
    assert found.faults == ()
    assert "of the accuracy log only how many samples it has" in found.checked[-1]
    assert why in found.checked[-1]
    assert sign_runs(tmp_path / "r", (), key["own"][0], Silent())
    lines = (folder / loadgen.ACCURACY).read_text().splitlines(keepends=True)
    (folder / loadgen.ACCURACY).write_text("".join(lines[:30]))
    assert any("and the data set has 64" in one.message for one in verify(folder).faults)


def test_an_accuracy_log_is_verified_up_to_the_size_that_its_test_may_end_with(tmp_path, monkeypatch):
    from orchestrator.results import accuracy_log
    from orchestrator.results.verify import accuracy

    assert accuracy.LARGEST == accuracy_log.LARGEST > 2**30
    _, folder = add_run(Store(tmp_path), "accuracy")
    monkeypatch.setattr(accuracy, "LARGEST", 200)
    assert [one.message for one in verify(folder).faults] == [
        f"has {(folder / loadgen.ACCURACY).stat().st_size:,} bytes; 200 are the most that is read"
    ]
