"""MLCommons' own programs, unchanged, from their tree at the commits that the recipes name; under the run contract.

Their repositories come from mirrors, as at a site without GitHub: MLORCH_TEST_GIT_MIRROR names a folder with
``mlcommons/inference`` and ``NVIDIA/DeepLearningExamples``, each a repository (or its ``.git``).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

VARIABLE = "MLORCH_TEST_GIT_MIRROR"
REPOSITORIES = ("mlcommons/inference", "NVIDIA/DeepLearningExamples")
MIRRORS = Path(os.environ.get(VARIABLE) or "/nonexistent")


def _why_not() -> str:
    if VARIABLE not in os.environ:
        return f"{VARIABLE} is not set: it names a folder with mirrors of {' and '.join(REPOSITORIES)}"
    absent = [name for name in REPOSITORIES if not (MIRRORS / name).exists() and not (MIRRORS / f"{name}.git").exists()]
    return f"{VARIABLE} is {MIRRORS}, where {' and '.join(absent)} is not" if absent else ""


WHY_NOT = _why_not()
pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

DATASET = "fashion-mnist-folder"
"""A recipe: the 10,000 test images of Fashion-MNIST as the folder that the program for vision reads."""
VISION = f"""\
kind: benchmark
name: vision-fashion
title: Fashion-MNIST through MLCommons' program
task: image-classification
layer: benchmark
model: resnet8-fashion
dataset: {DATASET}
harness: mlcommons-vision
frameworks: [onnxruntime]
performance_samples: 10000
scenarios:
  Offline: {{target_qps: 30000}}
  SingleStream: {{expected_latency_ns: 100000}}
  MultiStream: {{samples_per_query: 8, expected_latency_ns: 400000}}
  Server: {{target_qps: 1000, target_latency_ns: 1000000000}}
accuracy: {{metric: acc, reference: 91.54, factor: 0.9999}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with a benchmark of its own and the mirrors in its mlorch.yaml."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "recipes").mkdir()
    (folder / "recipes/vision-fashion.yaml").write_text(VISION)
    mirrors = f"mirrors:\n  git:\n    https://github.com/: {MIRRORS.resolve()}/\n"
    (folder / "mlorch.yaml").write_text(f"recipes: [recipes]\n{mirrors}")
    return folder


@pytest.fixture(scope="module")
def run(mlorch, site):
    def run(benchmark: str):
        words = ("run", benchmark, "--target", "cpu", "--duration", "1s", "--json")
        done = mlorch(*words, cwd=site, timeout=900)
        assert done.returncode == 0, done.stderr[-6000:]
        return json.loads(done.stdout)["results"]

    return run


@pytest.fixture(scope="module")
def vision(run):
    return run("vision-fashion")


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


def test_vision_is_valid_in_every_scenario(vision):
    assert outcomes(vision) == {
        ("Offline", "accuracy"): "PASSED",
        ("Offline", "performance"): "VALID",
        ("SingleStream", "performance"): "VALID",
        ("MultiStream", "performance"): "VALID",
        ("Server", "performance"): "VALID",
    }


def test_visions_own_script_counts_what_our_harness_counts(vision):
    accuracy = figures(vision)["acc"]
    assert (accuracy["value"], accuracy["samples"]) == (0.9154, 10_000)


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


@pytest.mark.parametrize("program", ["vision", "bert"])
def test_they_run_locked_down_and_their_figures_follow_from_their_logs(program, request, mlorch, site):
    results = request.getfixturevalue(program)
    assert all(locked_down(record) for record in records(results))
    for each in results:
        done = mlorch("results", "verify", each["run_id"], cwd=site)
        assert done.returncode == 0, done.stdout + done.stderr
