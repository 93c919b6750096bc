"""HellaSwag in its images: likelihoods of given tokens by llama.cpp, and the share of right choices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.long]


@pytest.mark.timeout(1800)
def test_the_likeliest_way_to_go_on_is_right_as_often_as_the_recipe_says(mlorch, tmp_path):
    words = ("run", "llm-hellaswag", "--target", "cpu", "-m", "accuracy", "-o", str(tmp_path), "--json")
    done = mlorch(*words, timeout=1700)
    assert done.returncode == 0, done.stderr[-4000:]
    (result,) = json.loads(done.stdout)["results"]
    normed, plain = json.loads((Path(result["record"]).parent / "accuracy.json").read_text())["accuracies"]
    assert (normed["metric"], plain["metric"]) == ("acc_norm", "acc")
    assert normed["value"] == pytest.approx(39, abs=1), "one question, for another processor's rounding"
    low, high = normed["interval"]
    assert low < normed["value"] < high
