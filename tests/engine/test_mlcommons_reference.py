"""MLCommons' own programs, unchanged, from their tree at the commits that the recipes name; under the run contract.

Their repositories come from mirrors, as at a site without GitHub (`git_mirror_parts`).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from git_mirror_parts import site_with_mirrors, why_not

WHY_NOT = why_not("mlcommons/inference", "NVIDIA/DeepLearningExamples")
pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

FASHION = ("model=resnet8-fashion", "dataset=fashion-mnist-folder")
PHOTOS = ("model=efficientnet-lite0", "dataset=imagenet-20-folder")
"""What is set of the recipe `resnet50`: all else follows from it. Two models and data that are here without asking."""
PATIENT = ("scenarios.Server.target_latency_ns=2000000000",)
"""MLPerf asks for 15 ms: of an accelerator, not of the two processors of a machine that others use."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the mirrors in its mlorch.yaml, and no recipe."""
    return site_with_mirrors(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def run(mlorch, site):
    def run(benchmark: str, *changes: str):
        words = ["run", benchmark, "--target", "cpu", "--duration", "1s", "--json"]
        for change in changes:
            words += ["--set", change]
        done = mlorch(*words, cwd=site, timeout=900)
        assert done.stdout, done.stderr[-6000:]
        return json.loads(done.stdout)["results"]

    return run


@pytest.fixture(scope="module")
def fashion(run):
    return run("resnet50", "implementation=reference", *FASHION, *PATIENT)


@pytest.fixture(scope="module")
def photos(run):
    return run("resnet50", "implementation=reference", *PHOTOS, *PATIENT)


@pytest.fixture(scope="module")
def bert(run):
    return run("bert-plumbing")


def outcomes(results):
    """Scenario and mode of each test with its verdict."""
    return {(each["scenario"], each["mode"]): each["verdict"] for each in results}


def records(results):
    return [json.loads(Path(each["record"]).read_text()) for each in results]


def figures(results):
    (accuracy,) = [each["metrics"] for each in results if each["mode"] == "accuracy"]
    return {one["name"]: one for one in (accuracy["accuracy"], *accuracy.get("other_accuracies", ()))}


def locked_down(record):
    """Whether a container had what the run contract gives, and nothing more."""
    container = record["container"]
    rights = (container["network"], container["read_only"], container["capabilities"], record["deviations"])
    return rights == ("none", True, [], []) and not container["user"].startswith("0:")


VALID = {
    ("Offline", "accuracy"): "PASSED",
    ("Offline", "performance"): "VALID",
    ("SingleStream", "performance"): "VALID",
    ("MultiStream", "performance"): "VALID",
    ("Server", "performance"): "VALID",
}


@pytest.mark.parametrize("data", ["fashion", "photos"])
def test_resnet50_with_another_model_and_data_is_valid_in_every_scenario(data, request):
    assert outcomes(request.getfixturevalue(data)) == VALID  # the last try of a test counts


@pytest.mark.parametrize(("data", "accuracy", "samples"), [("fashion", 0.9154, 10_000), ("photos", 0.9, 20)])
def test_its_own_script_counts_what_our_harness_counts(data, accuracy, samples, request):
    found = figures(request.getfixturevalue(data))["acc"]
    assert (found["value"], found["samples"]) == (accuracy, samples)


@pytest.mark.parametrize(("data", "changes"), [("fashion", FASHION), ("photos", PHOTOS)])
def test_the_record_and_the_report_say_that_it_is_not_mlperfs_any_more(data, changes, request):
    for each in request.getfixturevalue(data):
        record = json.loads(Path(each["record"]).read_text())
        assert record["note"].startswith("not MLPerf's resnet50: it ran with") or "measures the rate" in record["note"]
        assert all(change in record["benchmark_title"] for change in changes)
        report = (Path(each["record"]).parent / "report.html").read_text()
        assert "not MLPerf&#39;s resnet50" in report or "measures the rate" in report


def test_bert_is_valid_in_every_scenario(bert):
    assert outcomes(bert) == {
        ("Offline", "accuracy"): "PASSED",
        ("Offline", "performance"): "VALID",
        ("SingleStream", "performance"): "VALID",
        ("Server", "performance"): "VALID",
    }


def test_berts_own_script_says_both_figures(bert):
    found = figures(bert)
    assert list(found) == ["f1", "exact_match"]
    assert found["f1"]["reached"] is True
    assert {one["samples"] for one in found.values()} == {32}


def test_bert_cuts_its_questions_into_tokens_once(bert):
    made = [{step["name"]: step["reused"] for step in record["steps"]} for record in records(bert)]
    assert all(steps["features"] for steps in made[1:])
    assert [list(steps) for steps in made] == [["features", "test", "score"], *[["features", "test"]] * 3]


def test_berts_trace_is_not_kept(bert):
    assert not [name for record in records(bert) for name in record["files"] if "trace" in name]


@pytest.mark.parametrize("program", ["fashion", "photos", "bert"])
def test_they_run_locked_down_and_their_figures_follow_from_their_logs(program, request, mlorch, site):
    results = request.getfixturevalue(program)
    assert all(locked_down(record) for record in records(results))
    for each in results:
        done = mlorch("results", "verify", each["run_id"], cwd=site)
        assert done.returncode == 0, done.stdout + done.stderr
