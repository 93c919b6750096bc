"""Speech recognition in its images: recorded words, PocketSphinx, and the word error rate of the accuracy image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture(scope="module")
def both(mlorch, tmp_path_factory):
    """The test of accuracy and that of performance: each result, and its folder."""
    results = tmp_path_factory.mktemp("results")
    words = ("run", "speech-command", "--target", "cpu", "--duration", "3s", "-o", str(results), "--json")
    done = mlorch(*words, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    return [(each, Path(each["record"]).parent) for each in json.loads(done.stdout)["results"]]


def test_its_word_error_rate_is_that_of_the_recipe_with_its_interval(both):
    result, folder = both[0]
    assert (result["verdict"], result["metrics"]["accuracy"]["name"]) == ("PASSED", "word_accuracy")
    accuracy, rate, exact = json.loads((folder / "accuracy.json").read_text())["accuracies"]
    assert [each["metric"] for each in (accuracy, rate, exact)] == ["word_accuracy", "WER", "exact"]
    assert rate["samples"] == 134
    assert rate["value"] == pytest.approx(13.89, abs=0.7), "one of 144 words, for another processor's rounding"
    assert accuracy["value"] + rate["value"] == pytest.approx(100)
    low, high = rate["interval"]
    assert 5 < low < rate["value"] < high < 25
    assert exact["value"] == pytest.approx(85.8, abs=1.6)


def test_every_processor_has_a_recogniser_and_loadgen_measures_them(both):
    result, folder = both[1]
    assert "Result is : VALID" in (folder / "mlperf_log_summary.txt").read_text()
    assert result["metrics"]["result"]["value"] > 0
    facts = json.loads((folder / "harness.json").read_text())
    assert facts["backend"] == {"framework": "pocketsphinx", "devices": ["CPU"], "threads": 1}
    assert facts["container"]["packages"]["pocketsphinx"]
    settings = json.loads((folder / "settings.json").read_text())
    assert facts["effective"]["instances"]["value"] == len(settings["execution"]["cpus"])
