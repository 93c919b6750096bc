"""run.json: what is written is what is read, and nothing else is taken for a record."""

from __future__ import annotations

import json

import pytest
from results_parts import record_of

from orchestrator.errors import StepFailed
from orchestrator.facts.record_file import from_json, parse, seal, to_json
from orchestrator.facts.redact import redacted_argv, redacted_env, redacted_text, secret_values


def test_a_record_survives_writing_and_reading():
    record = record_of("offline")
    assert from_json(to_json(record), path="run.json") == record


def test_equal_records_give_equal_bytes_whatever_the_order_of_their_mappings():
    from dataclasses import replace

    record = record_of("offline")
    turned = replace(record, settings=dict(reversed(record.settings.items())), host=dict(reversed(record.host.items())))
    assert to_json(turned) == to_json(record)


def test_the_version_stands_first_and_the_seal_last():
    keys = list(json.loads(to_json(record_of("offline"))))
    assert (keys[0], keys[-1]) == ("version", "seal")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(version=2), "version 2"),
        (lambda d: d.update(surprise=1), "unknown key 'surprise'"),
        (lambda d: d.pop("run_id"), "lacks a required key"),
        (lambda d: d.update(valid="yes"), "run.json.valid has the wrong type"),
        (lambda d: d.update(out_of_memory=1), "run.json.out_of_memory has the wrong type"),
        (lambda d: d["started"].update(unix_ns="1"), "run.json.started.unix_ns has the wrong type"),
        (lambda d: d["image"]["layers"].append("x"), "run.json.image.layers is not an object"),
        (lambda d: d.update(status="perfect"), "status is 'perfect'"),
    ],
)
def test_a_document_that_is_not_a_record_is_refused_by_name(change, says):
    document = json.loads(to_json(record_of("offline")))
    change(document)
    with pytest.raises(StepFailed) as caught:
        from_json(json.dumps(document), path="results/x/run.json")
    assert "results/x/run.json" in caught.value.message
    assert says in caught.value.message


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"run"', "{}", to_json(record_of("offline"))[:-40]])
def test_broken_text_is_an_error_that_names_the_file(text):
    with pytest.raises(StepFailed, match=r"x/run\.json") as caught:
        from_json(text, path="x/run.json")
    assert caught.value.slug == "record"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_record_holds_no_number_that_cannot_be_shown(number):
    """One edited record must not end the listing of all others."""
    text = to_json(record_of("offline")).replace('"version": 1,', f'"version": 1, "valid": {number},', 1)
    with pytest.raises(StepFailed, match=r"x/run\.json.*number"):
        from_json(text, path="x/run.json")


@pytest.mark.parametrize("levels", [63, 900, 100_000])
def test_a_record_that_nests_deeper_than_anything_is_read_is_refused(levels):
    deep = '{"a":' * levels + "1" + "}" * levels
    text = to_json(record_of("offline")).replace('"container_facts": {}', f'"container_facts": {{"a": {deep}}}')
    with pytest.raises(StepFailed, match=r"x/run\.json.*deeper than 64 levels"):
        from_json(text, path="x/run.json")


def test_the_seal_sees_an_edit():
    document = parse(to_json(record_of("server-invalid")), path="run.json")
    assert document["seal"] == seal(document)
    document["valid"] = True
    assert document["seal"] != seal(document)


def test_secrets_stay_out_of_command_lines_environments_and_text():
    environ = {"HF_TOKEN": "hf_verysecret", "HOME": "/home/x", "CI_PASSWORD": "short"}
    secrets = secret_values(environ)
    assert secrets == ("hf_verysecret",)
    argv = ["mlorch", "--token", "abc", "--api-key=abc", "HF_TOKEN=abc", "x-hf_verysecret-y", "--target", "cpu"]
    kept = redacted_argv(argv, secrets)
    assert "abc" not in " ".join(kept)
    assert "verysecret" not in " ".join(kept)
    assert kept[-2:] == ("--target", "cpu")
    assert redacted_env(environ, secrets)["HOME"] == "/home/x"
    assert "secret" not in str(redacted_env(environ, secrets).values())
    assert redacted_text("get https://me:pw@host/x", ()) == "get https://[redacted]@host/x"
