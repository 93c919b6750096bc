"""The searches as a user runs them: a Server rate before a test, `--find`, and `mlorch tune`, on real containers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A data folder of its own: what is found here is no setting of a person's next run."""
    return os.environ | {"XDG_DATA_HOME": str(tmp_path_factory.mktemp("home"))}


def run(mlorch, results, home, *arguments: str) -> list[dict]:
    """The results of image-fashion, of which the last counts: a busy machine may make a test INVALID, and then mlorch
    tries another rate. For the same reason the status is not looked at.
    """
    done = mlorch(
        "run", "image-fashion", "-t", "cpu", "-m", "performance", *arguments, "-o", str(results), "--json",
        env=home, timeout=1200,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stderr[-3000:]
    return json.loads(done.stdout)["results"]


def test_the_rate_of_a_bare_server_test_is_searched_and_the_record_says_how(mlorch, results, home):
    first = run(mlorch, results, home, "-s", "Server", "--duration", "3s")[0]  # before a rate is tried again
    record = json.loads(Path(first["record"]).read_text())
    search, rate = record["search"], record["settings"]["loadgen.target_qps"]
    assert search["by"] == "harness"
    assert search["tries"]
    assert search["stopped"]
    if search["best"] is not None:
        assert rate["source"] == "searched"
        assert rate["value"] == pytest.approx(search["best"] * search["margin"], rel=0.01)
        assert first["metrics"]["rate_source"] == "searched"
    verified = mlorch("results", "verify", first["run_id"], "--results", str(results))
    assert verified.returncode == 0, verified.stderr


def test_find_ends_with_a_test_at_the_rate_that_it_stores(mlorch, results, home):
    (found,) = run(mlorch, results, home, "-s", "Server", "--duration", "2s", "--find")
    record = json.loads(Path(found["record"]).read_text())
    search, rate = record["search"], record["settings"]["loadgen.target_qps"]
    assert search is not None
    assert search["by"] == "find"
    assert search["margin"] < 1
    assert rate["value"] == pytest.approx(search["best"] * search["margin"], rel=0.01)
    assert search["stopped"]
    assert any(one["valid"] for one in search["tries"])
    assert all((results / one["run_id"] / "run.json").is_file() for one in search["tries"])
    again = run(mlorch, results, home, "-s", "Server", "--duration", "2s")[0]
    setting = json.loads(Path(again["record"]).read_text())["settings"]["loadgen.target_qps"]
    if found["valid"] and not found["disturbed"]:
        assert (setting["value"], setting["source"]) == (pytest.approx(rate["value"], rel=1e-3), "system")
    else:  # on a machine that others use
        assert setting["source"] != "system"


def test_tune_keeps_its_trials_and_the_next_run_has_the_best(mlorch, results, home):
    def tune(*more: str):
        return mlorch(
            "tune", "image-fashion", "-t", "cpu", "-s", "Offline", *more, "-o", str(results), "--json",
            env=home, timeout=1200,
        )  # fmt: skip

    done = tune("--trials", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    (told,) = json.loads(done.stdout)["tuning"]
    assert [one["number"] for one in told["trials"]] == [1, 2]
    assert all(one["state"] in {"done", "pruned"} for one in told["trials"])
    best = max((one for one in told["trials"] if one["state"] == "done"), key=lambda one: one["value"])
    kept = told["kept"]["settings"]
    assert {name: kept[name] for name in best["parameters"]} == best["parameters"]
    shown = mlorch("tune", "image-fashion", "--show", "--json", env=home)
    assert json.loads(shown.stdout)["tuning"][0]["trials"] == told["trials"]
    assert "kept for the next run" in mlorch("tune", "--show", env=home).stdout
    again = run(mlorch, results, home, "-s", "Offline", "--duration", "1s")[-1]
    settings = json.loads(Path(again["record"]).read_text())["settings"]
    for name, value in best["parameters"].items():
        assert (settings[f"execution.{name}"]["value"], settings[f"execution.{name}"]["source"]) == (value, "system")
