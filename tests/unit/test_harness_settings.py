"""settings.json: what the harness accepts and how it refuses."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest

from orchestrator.harness.settings import SettingsError, parse, read

CONTRACT = Path(__file__).parents[2] / "docs" / "run-contract.md"


@pytest.fixture
def document() -> dict:
    """The example of the run contract itself, so that the two cannot drift apart."""
    (block, *_) = re.findall(r"```json\n(\{\n  \"version\".*?)```", CONTRACT.read_text(), re.DOTALL)
    return json.loads(block)


def test_the_example_of_the_contract_is_read(document):
    settings = parse(document)
    assert settings.scenario == "Offline"
    assert settings.execution.cpus == (0, 1)
    assert settings.loadgen.target_qps is None
    assert settings.model.inputs[0].scale == pytest.approx(1 / 255)


def test_a_whole_number_may_stand_for_a_rate(document):
    document["loadgen"]["target_qps"] = 500
    assert parse(document).loadgen.target_qps == 500.0


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("version", 1, "version: 1"),
        ("version", None, "version: None"),
        ("surprise", 1, "surprise: unknown key"),
        ("loadgen.min_duration", 1, "loadgen.min_duration: unknown key"),
        ("scenario", "Online", "scenario: 'Online' is none of Offline"),
        ("mode", "both", "mode: 'both'"),
        ("loadgen.min_query_count", "100", "loadgen.min_query_count: '100' is not of type int"),
        ("loadgen.min_query_count", True, "loadgen.min_query_count: True is not of type int"),
        ("loadgen.min_query_count", None, "loadgen.min_query_count: None is not of type int"),
        ("loadgen.target_qps", 0, "loadgen.target_qps: 0.0 is not above zero"),
        ("loadgen.target_latency_percentile", 99, "loadgen.target_latency_percentile"),
        ("model.inputs", "x", "model.inputs: a list was expected"),
        ("model.inputs", [], "model: an input and an output at least"),
        ("model.inputs", ["x"], r"model\.inputs\[0\]\.: an object was expected"),
        ("dataset.arrays", {"labels": "l.npy"}, "dataset.arrays.inputs: missing"),
        ("dataset.arrays", [], "dataset.arrays: an object was expected"),
        ("dataset.performance_samples", 10_001, "more than dataset.samples"),
        ("execution.cpus", [], "execution.cpus"),
        ("execution.cpus", [1, 1], "execution.cpus"),
        ("execution.cpus", ["0"], r"execution.cpus\[0\]: '0'"),
        ("execution.instances", 3, "3 instances of 1 thread do not fit on 2 processors"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_by_name(document, path, value, message):
    *parents, key = path.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    place[key] = value
    with pytest.raises(SettingsError, match=message):
        parse(document)


def test_every_key_is_needed(document):
    for section in ("loadgen", "execution", "dataset"):
        for key in document[section].keys() - {"precision", "show"}:  # what few tests have
            broken = copy.deepcopy(document)
            del broken[section][key]
            with pytest.raises(SettingsError, match=rf"{section}\.{key}: missing"):
                parse(broken)


def test_server_needs_a_latency(document):
    document["scenario"] = "Server"
    document["loadgen"]["target_latency_ns"] = None
    with pytest.raises(SettingsError, match="target_latency_ns"):
        parse(document)


def test_a_file_that_is_not_json_is_refused_with_its_name(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text("{")
    with pytest.raises(SettingsError, match=r"settings\.json: Expecting"):
        read(path)


def test_the_audit_of_a_compliance_test_is_read(document):
    document["audit"] = {"test": "TEST04", "settings": {"mode": 2, "performance_issue_same": 1}}
    assert parse(document).audit.settings == {"mode": 2, "performance_issue_same": 1}


@pytest.mark.parametrize(
    ("audit", "message"),
    [
        ({"test": "TEST04", "settings": {}}, "audit.settings: a setting at least"),
        ({"test": "TEST04", "settings": {"mode": "2"}}, "audit.settings.mode: '2' is not of type int"),
        ({"test": "TEST04", "settings": {"mode": True}}, "audit.settings.mode: True is not of type int"),
        ({"test": "TEST04", "settings": {"mode": -1}}, "audit.settings.mode: below zero"),
        ({"test": "TEST04", "settings": {"mode = 1\n*.*.mode": 2}}, "audit.settings: 'mode = 1"),
        ({"test": "TEST04"}, "audit.settings: missing"),
        ({"test": "TEST04", "settings": {"mode": 2}, "more": 1}, "audit.more: unknown key"),
    ],
)
def test_an_audit_that_loadgen_would_not_understand_is_refused(document, audit, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        parse({**document, "audit": audit})


def test_an_accuracy_test_has_no_audit(document):
    document |= {"mode": "accuracy", "audit": {"test": "TEST04", "settings": {"mode": 2}}}
    with pytest.raises(SettingsError, match="a compliance test is a performance test"):
        parse(document)
