"""`submission check --format sarif|github`: what other programs read of a check."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from submission_parts import RESNET, change_log, good_tree, write

from orchestrator.cli import run
from orchestrator.submissions.rules import ALL_RULES

SCHEMA = Path(__file__).parents[2] / "fixtures" / "sarif" / "sarif-2.1.0-rtm.5.json"
LOG = f"{RESNET}/Offline/performance/run_1/mlperf_log_detail.txt"
EVIL = "a\n::error::b %0A,c:d\x1b[31m"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One for all tests, so that recipes are read once; what is kept of a tree goes by its path."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def tree(tmp_path, monkeypatch, home):
    monkeypatch.setenv("MLORCH_HOME", str(home))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "repo"))
    return good_tree(tmp_path / "repo" / "sent in")


def output_of(tree, capsys, form, *more) -> str:
    run(["submission", "check", str(tree), "--round", "v5.1", "--format", form, *more])
    return capsys.readouterr().out


def sarif(tree, capsys, *more) -> dict:
    document = json.loads(output_of(tree, capsys, "sarif", *more))
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    return document["runs"][0]


def line_of(tree, path: str, text: str) -> int:
    return next(n for n, line in enumerate((tree / path).read_text().splitlines(), 1) if text in line)


def test_sarif_has_each_finding_at_its_line(tree, capsys):
    assert sarif(tree, capsys)["results"] == []
    change_log(tree, f"{RESNET}/Offline", effective_min_duration_ms=60000, effective_qsl_rng_seed=1)
    found = sarif(tree, capsys)
    results = {each["ruleId"]: each for each in found["results"]}
    assert set(results) == {"min-duration", "seeds", "complete"}
    for rule, key in (("min-duration", "effective_min_duration_ms"), ("seeds", "effective_qsl_rng_seed")):
        place = results[rule]["locations"][0]["physicalLocation"]
        assert place["artifactLocation"] == {"uri": f"sent%20in/{LOG}", "uriBaseId": "%SRCROOT%"}
        assert place["region"] == {"startLine": line_of(tree, LOG, f'"{key}"')}
    rules = found["tool"]["driver"]["rules"]
    assert {rule["id"] for rule in rules} >= {rule.id for rule in ALL_RULES}
    assert rules[results["seeds"]["ruleIndex"]]["id"] == "seeds"
    assert results["seeds"]["level"] == "error"


def test_a_finding_keeps_its_fingerprint_where_the_tree_moves(tree, capsys, tmp_path):
    write(tree / "stray.txt", "x")
    first = sarif(tree, capsys)["results"]
    elsewhere = tmp_path / "elsewhere"
    tree.rename(elsewhere)
    (second,) = sarif(elsewhere, capsys)["results"]
    assert second["partialFingerprints"] == first[0]["partialFingerprints"]
    uri = second["locations"][0]["physicalLocation"]["artifactLocation"]
    assert uri == {"uri": f"file://{elsewhere}/stray.txt"}, "a file outside of the repository has its whole path"


def test_no_name_of_a_file_breaks_a_document_or_steers_a_terminal(tree, capsys):
    write(tree / EVIL.replace("/", ""), "x")
    (tree / "raw\udcff.txt").write_text("x")
    found = sarif(tree, capsys)
    uris = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in found["results"]]
    assert "sent%20in/a%0A%3A%3Aerror%3A%3Ab%20%250A%2Cc%3Ad%1B%5B31m" in uris
    assert "sent%20in/raw%FF.txt" in uris
    for form in ("sarif", "text", "github", "json"):
        assert "\x1b" not in output_of(tree, capsys, form), form
    assert not [line for line in output_of(tree, capsys, "text").splitlines() if line.startswith("::")]
    commands = [line for line in output_of(tree, capsys, "github").splitlines() if line.startswith("::")]
    assert all(re.match(r"::error (file|title)=[^:]+::", line) for line in commands)
    assert any(",title=mlorch%3A root-files" in line and "%0A%3A%3Aerror" in line for line in commands)


def test_github_shows_ten_of_a_level_and_is_told_of_the_others(tree, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    change_log(tree, f"{RESNET}/Offline", effective_min_duration_ms=60000)
    for number in range(14):
        write(tree / f"stray{number:02}.txt", "x")
    out = output_of(tree, capsys, "github")
    commands = [line for line in out.splitlines() if line.startswith("::error ")]
    assert len(commands) == 10
    at = line_of(tree, LOG, '"effective_min_duration_ms"')
    assert [line for line in commands if line.startswith(f"::error file=sent in/{LOG},line={at},col=1,")], (
        "every rule is shown before one is shown twice"
    )
    assert "GitHub shows 10 annotations of a level for a step; 6 more:" in out
    assert len(re.findall(r"^stray\d\d.txt: error: ", out, re.MULTILINE)) == 6
    assert out.splitlines()[-1].startswith("v5.1: 4 results, 3 rows, 16 errors")
    assert "| root\\-files | error | 14 |" in (tmp_path / "summary.md").read_text()


def test_a_tree_outside_of_the_repository_is_annotated_without_a_file(tree, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "other"))
    write(tree / "stray.txt", "x")
    out = output_of(tree, capsys, "github")
    assert out.startswith("::error title=mlorch%3A root-files::stray.txt: ")


def test_json_is_that_of_the_format(tree, capsys):
    write(tree / "stray.txt", "x")
    of_format = output_of(tree, capsys, "json")
    run(["submission", "check", str(tree), "--round", "v5.1", "--json"])
    assert capsys.readouterr().out == of_format


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"result_validity": "INVALID"}, "result_validity"),
        ({"effective_scenario": "Server"}, "effective_scenario"),
        ({"num_errors": 3}, "num_errors"),
    ],
)
def test_a_rule_that_names_no_key_has_the_line_of_the_one_that_it_looks_at(tree, capsys, changes, key):
    change_log(tree, f"{RESNET}/Offline", **changes)
    lines = {
        each["locations"][0]["physicalLocation"].get("region", {}).get("startLine")
        for each in sarif(tree, capsys)["results"]
        if each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith(LOG)
    }
    assert line_of(tree, LOG, f'"{key}"') in lines


def test_accuracy_has_the_line_of_its_figure(tree, capsys):
    text = "one\ntwo\naccuracy=70.00%, good=3\nhash=0123abc\n"
    write(tree / RESNET / "Offline" / "accuracy" / "accuracy.txt", text)
    (found,) = [each for each in sarif(tree, capsys)["results"] if each["ruleId"] == "accuracy"]
    assert found["locations"][0]["physicalLocation"]["region"] == {"startLine": 3}
