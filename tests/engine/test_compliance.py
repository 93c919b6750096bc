"""Compliance tests as a user runs them: LoadGen with an audit.config, judged by MLCommons' own scripts, unchanged."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest
from git_mirror_parts import site_with_mirrors, why_not

from orchestrator.results.store import Store

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from submission_build_parts import OVERLAY, add_closed, rules_of

WHY_NOT = why_not("mlcommons/inference")
pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
OFFLINE = ("--target", "cpu", "--scenario", "Offline", "--duration", "1s", "--json")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return site_with_mirrors(tmp_path_factory.mktemp("site"))


def run(mlorch, site, *words: str) -> dict[str, dict]:
    """The results by name: the mode, or the compliance test."""
    done = mlorch("run", *words, *OFFLINE, cwd=site, timeout=1500)
    assert done.stdout, done.stderr[-6000:]
    results = json.loads(done.stdout)["results"]
    return {(one["compliance"] or {"test": one["mode"]})["test"]: one for one in results}


@pytest.fixture(scope="module")
def fashion(mlorch, site):
    """Everything that the closed division asks of one scenario."""
    return run(mlorch, site, "image-fashion", "--round", "v6.1", "--division", "closed")


def passed(result: dict, *files: str) -> list[bool]:
    """Whether MLCommons' script wrote into each of these that the test is passed."""
    folder = Path(result["record"]).parent / "compliance" / result["compliance"]["test"]
    return ["TEST PASS" in (folder / name).read_text().splitlines() for name in files]


def test_with_the_closed_division_the_tests_of_the_model_come_last(fashion):
    assert list(fashion) == ["accuracy", "performance", "TEST01", "TEST04"]
    assert [fashion[name]["verdict"] for name in ("accuracy", "performance")] == ["PASSED", "VALID"]


@pytest.mark.parametrize(("name", "compared"), [("TEST01", ["accuracy", "performance"]), ("TEST04", ["performance"])])
def test_mlcommons_script_compared_it_and_its_verdict_is_ours(name, compared, fashion, mlorch, site):
    result = fashion[name]
    assert [one["run_id"] for one in result["compliance"]["compared"]] == [fashion[mode]["run_id"] for mode in compared]
    if name == "TEST01":
        assert passed(result, "verify_accuracy.txt") == [True]
    # On a machine that others use a test of a second may be a tenth slower than the one before.
    speed = passed(result, "verify_performance.txt") == [True]
    assert result["verdict"] == ("PASSED" if speed else "FAILED"), result["reasons"]
    assert speed or "Test score invalid" in result["reasons"][0]
    verified = mlorch("results", "verify", result["run_id"], cwd=site)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_answers_that_are_not_those_of_the_accuracy_test_fail_test01(fashion, mlorch, site):
    """The accuracy log of before is falsified, with its record: nothing but the comparison can tell."""
    results = site / "falsified"
    results.mkdir()
    for name in ("accuracy", "performance"):
        shutil.copytree(Path(fashion[name]["record"]).parent, results / fashion[name]["run_id"])
    folder = results / fashion["accuracy"]["run_id"]
    log, record = folder / "mlperf_log_accuracy.json", folder / "run.json"
    answers = json.loads(log.read_text())
    for answer in answers:
        answer["data"] = ("0900000000000000" if answer["data"] != "0900000000000000" else "0000000000000000").upper()
    text = "[\n" + ",\n".join(json.dumps(answer) for answer in answers) + "\n]\n"
    log.write_text(text)
    document = json.loads(record.read_text())
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    document["files"][log.name] = {"sha256": sha256, "size": len(text)}
    record.write_text(json.dumps(document))
    words = ("image-fashion", "--round", "v6.1", "--mode", "compliance", "--results", str(results))
    found = run(mlorch, site, *words)
    assert list(found) == ["TEST01", "TEST04"], "the stored results count, as their records agree with them"
    assert found["TEST01"]["verdict"] == "FAILED"
    assert "TEST01, verify_accuracy.txt: TEST FAIL" in " ".join(found["TEST01"]["reasons"])
    assert passed(found["TEST01"], "verify_accuracy.txt") == [False]


@pytest.mark.parametrize("round_name", ["v5.1", "v6.1"])
def test_a_closed_tree_is_taken_by_mlcommons_own_checker_of_the_round(round_name, mlorch, site):
    """Of recorded logs, as MLPerf's model is not here: what is to be shown is that nothing of the tree is amiss."""
    folder = site / round_name
    store, rules = Store(folder / "results"), rules_of(round_name)[round_name]
    for number, scenario in enumerate(("Offline", "SingleStream", "MultiStream")):
        add_closed(store, rules, scenario, 10 * number, data_samples=50_000)
    (folder / "overlay.yaml").write_text(OVERLAY.replace("image-smoke:", "resnet50:"))
    tree = ("--round", round_name, "--json")
    words = ("--submitter", "Acme", "--division", "closed", "--overlay", "overlay.yaml", "--results", "results")
    built = mlorch("submission", "build", *tree, *words, "-o", "tree", cwd=folder)
    assert built.returncode == 0, built.stderr
    assert json.loads(built.stdout)["lacks"] == []
    shutil.copy(site / "mlorch.yaml", folder)
    checked = mlorch("submission", "check", "tree", *tree, "--official", "--target", "cpu", cwd=folder, timeout=900)
    assert checked.stdout, checked.stderr
    found = json.loads(checked.stdout)
    official = found["official"]
    assert (official["errors"], official["good"], official["rows"]) == ([], True, 3)
    assert checked.returncode == 0, found["findings"]


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("roles", [(), ("--roles", "server,client")])
def test_a_hundred_answers_of_a_model_that_writes_are_counted_and_end_once(roles, mlorch, site):
    # Four tokens an answer, so that a hundred take a minute; the rate is a guess that is none of the matter.
    words = ("llm-chat", "--mode", "compliance", "--set", "generation.limit=4", "--target-qps", "5", *roles)
    result = run(mlorch, site, *words)["TEST06"]
    assert result["verdict"] == "PASSED", result["reasons"]
    folder = Path(result["record"]).parent / "compliance" / "TEST06"
    said = (folder / "verify_accuracy.txt").read_text().splitlines()
    assert said[:3] == [
        "First token check pass: Skipped",
        "EOS check pass: True",
        "Sample length check pass: True",
    ]
    assert len(json.loads((folder / "accuracy" / "mlperf_log_accuracy.json").read_text())) == 100
