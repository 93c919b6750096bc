"""Text generation as a user runs it: llama.cpp in its image, tokens timed by LoadGen, ROUGE counted beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


def test_its_answers_reach_their_rouge_over_all_questions(mlorch, results):
    done = mlorch(
        "run", "llm-chat", "-t", "cpu", "-s", "Offline", "-m", "accuracy", "-o", str(results), "--json", timeout=1500
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (result,) = json.loads(done.stdout)["results"]
    metrics = result["metrics"]
    figures = {one["name"]: one for one in (metrics["accuracy"], *metrics["other_accuracies"])}
    assert figures.keys() == {"rouge1", "rouge2", "rougeL", "tokens_per_sample"}
    assert all(one["samples"] == 100 and one["reached"] for one in figures.values())
    assert 25 < figures["rouge1"]["value"] < 30
    assert figures["tokens_per_sample"]["value"] <= 32
    verified = mlorch("results", "verify", result["run_id"], "--results", str(results))
    assert verified.returncode == 0, verified.stderr


@pytest.mark.parametrize("scenario", ["Offline", "Interactive"])
def test_tokens_are_timed_by_loadgen(mlorch, results, scenario):
    done = mlorch(
        "run", "llm-chat", "-t", "cpu", "-s", scenario, "-m", "performance", "--duration", "2s", "-o", str(results),
        "--json", timeout=1500,
    )  # fmt: skip
    result = json.loads(done.stdout)["results"][-1]  # a guessed rate that is too high is halved and tried again
    assert result["scenario"] == scenario
    assert done.returncode == (0 if result["valid"] else 1), done.stderr[-4000:]
    assert result["metrics"]["result"]["unit"] == "tokens/s"
    others = {one["name"]: one["value"] for one in result["metrics"]["others"]}
    if scenario == "Interactive":
        assert others["ttft_p99"] > others["tpot_p99"] > 0
    folder = Path(result["record"]).parent
    assert "No errors encountered" in (folder / "mlperf_log_summary.txt").read_text()
    facts = json.loads((folder / "harness.json").read_text())
    assert facts["backend"]["framework"] == "llamacpp"
    assert facts["container"]["packages"]["xllamacpp"]
    verified = mlorch("results", "verify", result["run_id"], "--results", str(results))
    assert verified.returncode == 0, verified.stderr
