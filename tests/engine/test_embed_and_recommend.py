"""MiniLM on texts and DLRM's shape on ratings, in their containers; another container counts what they answered."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.slow]

KNOWN = {  # benchmark → metric, samples, what it reached here, how far another processor's rounding may move it
    "language-embed": ("accuracy", 2605, 0.7785, 0.005),
    "language-similarity": ("spearman", 437, 0.7295, 0.003),
    "recommend": ("AUC", 75, 0.7856, 0.001),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


def run(mlorch, results, *arguments: str, target: str = "cpu"):
    done = mlorch("run", *arguments, "--target", target, "-o", str(results), "--json", timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    (result,) = json.loads(done.stdout)["results"]
    return result


@pytest.mark.parametrize("name", KNOWN)
def test_it_reaches_its_accuracy_and_says_the_interval(mlorch, results, name):
    metric, samples, value, off = KNOWN[name]
    result = run(mlorch, results, name, "--scenario", "Offline", "--mode", "accuracy")
    assert result["verdict"] == "PASSED"
    accuracy = result["metrics"]["accuracy"]
    assert (accuracy["name"], accuracy["samples"]) == (metric, samples)
    assert accuracy["value"] == pytest.approx(value, abs=off)
    low, high = accuracy["interval"]
    assert low < accuracy["value"] < high
    assert high - low < 0.15

    shown = mlorch("results", "show", result["run_id"], "--results", str(results))
    assert f"{metric}, 95 % interval" in shown.stdout
    folder = Path(result["record"]).parent
    assert json.loads((folder / "run.json").read_text())["measured"]["accuracy"]["interval"] == [low, high]
    verified = mlorch("results", "verify", result["run_id"], "--results", str(results))
    assert verified.returncode == 0, verified.stdout


def test_openvino_embeds_as_well(mlorch, results):
    result = run(mlorch, results, "language-similarity", "--mode", "accuracy", target="openvino")
    assert result["metrics"]["accuracy"]["value"] == pytest.approx(0.7295, abs=0.003)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", ["SingleStream", "MultiStream", "Server"])
@pytest.mark.parametrize("name", ["language-embed", "recommend"])
def test_every_scenario_is_measured(mlorch, results, name, scenario):
    words = ("--scenario", scenario, "--mode", "performance", "--duration", "2s")
    result = run(mlorch, results, name, *words)
    assert result["verdict"] == "VALID", result["reasons"]
    assert math.isfinite(result["metrics"]["result"]["value"])
