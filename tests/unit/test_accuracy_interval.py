"""The 95 % interval of an accuracy: from accuracy.json to the record, what people see, and the report."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from results_parts import add_run

from orchestrator.cli import run
from orchestrator.facts.record_file import from_json, to_json
from orchestrator.results.measure import accuracies_of, harness_document
from orchestrator.results.report import render
from orchestrator.results.store import Store
from orchestrator.results.summary import document, interval_text, summarise

FIGURE = {"metric": "AUC", "value": 78.56, "unit": "%", "samples": 20, "interval": [77.92, 79.18]}


def accuracy_of(**changes):
    (found,) = accuracies_of({"accuracies": [FIGURE | changes]}, None)
    return found


def test_ends_in_percent_become_shares_as_the_value_does():
    found = accuracy_of()
    assert (found.value, found.interval) == (0.7856, (0.7792, 0.7918))
    assert interval_text(found) == "77.92 % to 79.18 %"


def test_ends_without_a_unit_stay_as_they_are():
    found = accuracy_of(metric="spearman", value=0.7295, unit="", interval=[-0.1, 0.7791])
    assert found.interval == (-0.1, 0.7791)
    assert interval_text(found) == "-0.100 to 0.779"


@pytest.mark.parametrize(
    "given", [None, [], [1.0], [1.0, 2.0, 3.0], ["1", 2.0], [2.0, 1.0], [True, 2.0], 5, {"low": 1}, [0.0, 1e300]]
)
def test_what_is_no_interval_is_none_and_the_figure_stays(given):
    found = accuracy_of(interval=given)
    assert (found.value, found.interval) == (0.7856, None)
    assert interval_text(found) == ""


def test_it_is_read_from_the_file_that_the_accuracy_image_wrote(tmp_path):
    (tmp_path / "harness.json").write_text(json.dumps({"status": "done", "accuracy": None}))
    (tmp_path / "accuracy.json").write_text(json.dumps({"version": 1, "accuracies": [FIGURE]}))
    (found,) = accuracies_of(harness_document(tmp_path), None)
    assert found.interval == (0.7792, 0.7918)


@pytest.fixture
def measured(tmp_path):
    """A run whose accuracy has an interval, in its store."""
    record, folder = add_run(Store(tmp_path), "accuracy")
    accuracy = replace(record.measured.accuracy, interval=(0.8102, 0.9561))
    changed = replace(record, measured=replace(record.measured, accuracy=accuracy))
    (folder / "run.json").write_text(to_json(changed))
    return changed, folder


def test_the_record_keeps_it_and_older_records_have_none(measured):
    changed, folder = measured
    text = (folder / "run.json").read_text()
    assert from_json(text, path="run.json").measured.accuracy.interval == (0.8102, 0.9561)
    plain = json.loads(to_json(changed))
    del plain["measured"]["accuracy"]["interval"]
    assert from_json(json.dumps(plain), path="run.json").measured.accuracy.interval is None


def test_people_and_programs_see_it(measured, capsys):
    changed, folder = measured
    assert document(summarise(changed, folder))["metrics"]["accuracy"]["interval"] == [0.8102, 0.9561]
    assert run(["results", "show", changed.run_id, "--results", str(folder.parent)]) == 0
    assert re.search(r"top1, 95 % interval +81\.02 % to 95\.61 %", capsys.readouterr().out)
    assert "81.02 % to 95.61 %" in render([summarise(changed, folder)])
