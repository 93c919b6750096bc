"""Object detection in its images: composed scenes, the detector, and the mAP that the accuracy image counts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from orchestrator.results import examples

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def run(mlorch, results, *arguments: str) -> tuple[dict, Path]:
    done = mlorch("run", "detect", "--target", "cpu", *arguments, "-o", str(results), "--json", timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    result = json.loads(done.stdout)["results"][-1]
    return result, Path(result["record"]).parent


def test_its_map_is_that_of_the_recipe_with_its_interval(mlorch, tmp_path):
    result, folder = run(mlorch, tmp_path, "-s", "Offline", "-m", "accuracy")
    assert result["metrics"]["accuracy"]["name"] == "mAP"
    mean, at_half = json.loads((folder / "accuracy.json").read_text())["accuracies"]
    assert (mean["metric"], at_half["metric"]) == ("mAP", "mAP50")
    assert mean["samples"] == at_half["samples"] == 1000
    assert mean["value"] == pytest.approx(62.96, abs=0.2)
    low, high = mean["interval"]
    assert low < mean["value"] < high < low + 5
    assert mean["value"] < at_half["value"]
    found = examples.read(folder)
    assert [one.right for one in found.items] == [True, True, True, False, False, False]
    assert all(one.picture.width == 128 and one.boxes for one in found.items)
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert {'<rect class="box expected"', '<rect class="box predicted"'} <= set(
        re.findall(r'<rect class="box \w+"', page)
    )
    assert mlorch("results", "verify", result["run_id"], "--results", str(tmp_path)).returncode == 0


def test_single_stream_is_measured_by_loadgen(mlorch, tmp_path):
    result, folder = run(mlorch, tmp_path, "-s", "SingleStream", "-m", "performance", "--duration", "2s")
    assert "Result is : VALID" in (folder / "mlperf_log_summary.txt").read_text()
    assert result["metrics"]["result"]["value"] > 0
