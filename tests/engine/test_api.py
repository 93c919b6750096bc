"""The Python API gives the objects that the command line prints."""

from __future__ import annotations

import json

import pytest

from orchestrator import api
from orchestrator.errors import UsageError

pytestmark = pytest.mark.engine


def test_plan_build_and_results_are_the_json_of_the_commands(mlorch, tmp_path):
    built = api.build(target="cpu", benchmarks=["image-fashion"])
    planned = api.plan(target="cpu", benchmarks=["image-fashion"])
    printed = json.loads(mlorch("plan", "--target", "cpu", "--benchmark", "image-fashion", "--json").stdout)
    assert json.loads(json.dumps(planned)) == printed
    assert [layer["image"] for layer in built["layers"]] == [layer["image"] for layer in planned["layers"]]
    assert {layer["state"] for layer in planned["layers"]} == {"hit"}


@pytest.mark.slow
def test_run_gives_results_that_are_found_again(mlorch, tmp_path):
    ran = api.run(["image-smoke"], scenarios=["offline"], mode="accuracy", results=tmp_path)
    (result,) = ran["results"]
    assert result["metrics"]["accuracy"]["value"] == 0.9
    listed = json.loads(mlorch("results", "list", "--results", str(tmp_path), "--json").stdout)
    assert api.results(tmp_path) == listed
    assert listed["results"][0]["run_id"] == result["run_id"]


def test_what_does_not_exist_is_raised_with_the_nearest_name(tmp_path):
    with pytest.raises(UsageError) as caught:
        api.run(["image-fashon"], results=tmp_path)
    assert "image-fashion" in caught.value.hint
    assert not any(tmp_path.iterdir())
