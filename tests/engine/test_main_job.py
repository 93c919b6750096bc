"""The main job as a user does it: real images, real LoadGen, real models and data, in a locked-down container."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestrator.plan.run.user import run_user
from orchestrator.results import examples, histogram, timeline

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


def run(mlorch, results, *arguments: str, code: int = 0):
    done = mlorch("run", *arguments, "-o", str(results), "--json", timeout=900)
    assert done.returncode == code, done.stderr[-4000:]
    return json.loads(done.stdout)["results"]


@pytest.fixture(scope="module")
def fashion(mlorch, results):
    (result,) = run(mlorch, results, "image-fashion", "--scenario", "Offline", "--mode", "accuracy")
    return result


def test_fashion_reaches_its_accuracy_over_exactly_all_samples(fashion):
    accuracy = fashion["metrics"]["accuracy"]
    assert accuracy["name"] == "top1"
    assert accuracy["samples"] == 10_000
    assert 0.905 <= accuracy["value"] <= 0.93


def test_smoke_gets_eighteen_of_its_twenty_photos(mlorch, results):
    (result,) = run(mlorch, results, "image-smoke", "--mode", "accuracy")
    accuracy = result["metrics"]["accuracy"]
    assert (accuracy["samples"], accuracy["value"]) == (20, 18 / 20)


def test_the_record_ties_the_number_to_what_ran(mlorch, fashion):
    record = json.loads(Path(fashion["record"]).read_text())
    assert record["status"] == "done"
    assert fashion["image_digest"].startswith("sha256:")
    assert fashion["image_digest"] in json.dumps(record["image"])
    assert "image-fashion --scenario Offline --mode accuracy" in " ".join(record["command_line"])
    for asset in ("model", "dataset"):
        assert all(len(digest) == 64 for digest in record[asset]["files"].values())
    assert {"mlperf_log_detail.txt", "mlperf_log_summary.txt", "mlperf_log_accuracy.json"} <= set(record["files"])
    verified = mlorch("results", "verify", fashion["run_id"], "--results", str(Path(fashion["record"]).parents[1]))
    assert verified.returncode == 0, verified.stderr


def test_inside_the_container_nothing_is_given_that_is_not_needed(fashion):
    facts = json.loads((Path(fashion["record"]).parent / "harness.json").read_text())["container"]
    assert int(facts["capabilities"], 16) == 0
    assert facts["no_new_privileges"] is True
    assert facts["root_read_only"] is True
    assert facts["interfaces"] == ["lo"]
    user = run_user(os.getuid(), os.getgid(), os.environ)
    assert f"{facts['uid']}:{facts['gid']}" == user.inside
    assert facts["uid"] != 0, "no program of a harness runs as root, whoever calls"


def test_results_belong_to_the_caller(fashion):
    folder = Path(fashion["record"]).parent
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in [folder, *folder.iterdir()]}
    assert owners == {(os.getuid(), os.getgid())}


def test_pictures_of_right_and_wrong_answers_stand_in_the_report(fashion):
    folder = Path(fashion["record"]).parent
    found = examples.read(folder)
    assert [one.right for one in found.items] == [True, True, True, False, False, False]
    assert all((one.labels.predicted == one.labels.expected) is one.right for one in found.items)
    assert {(one.picture.width, one.picture.height) for one in found.items} == {(28, 28)}
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert "<dt>expected</dt><dd>ankle boot</dd>" in page


def test_photos_whose_terms_forbid_it_are_in_no_file_of_a_run(mlorch, results):
    (result,) = run(mlorch, results, "image-smoke", "-s", "Offline", "--mode", "accuracy")
    folder = Path(result["record"]).parent
    assert not (folder / examples.FILE).exists()
    page = (folder / "report.html").read_text()
    assert "Samples are not shown: its terms do not allow to hand it on" in page
    assert "data:image" not in page


@pytest.mark.parametrize("scenario", ["Offline", "SingleStream", "MultiStream", "Server"])
def test_every_scenario_is_measured_by_loadgen_and_told_as_loadgen_says(mlorch, results, scenario):
    done = mlorch(
        "run", "image-fashion", "-s", scenario, "-m", "performance", "--duration", "2s", "-o", str(results), "--json"
    )
    result = json.loads(done.stdout)["results"][-1]  # a guessed Server rate that is too high is halved and tried again
    summary = (Path(result["record"]).parent / "mlperf_log_summary.txt").read_text()
    assert f"Scenario : {scenario}" in summary
    assert result["valid"] is ("Result is : VALID" in summary)
    assert done.returncode == (0 if result["valid"] else 1)
    metric = result["metrics"]["result"]
    assert metric["value"] > 0
    assert metric["unit"] in {"samples/s", "ns"}
    latency = result["metrics"]["latency_ns"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"]
    folder = Path(result["record"]).parent
    assert timeline.read(folder).samples == histogram.read(folder).samples
    assert "Over the time of the test: " in (folder / "report.html").read_text()


def test_a_secret_of_the_caller_is_nowhere(mlorch, results, engine):
    secret = "hf_thisIsASecretThatMustNotBeSeenAnywhere"
    done = mlorch(
        *("run", "image-fashion", "-s", "Offline", "-m", "accuracy", "-o", str(results), "--json"),
        env={**os.environ, "HF_TOKEN": secret},
    )
    assert done.returncode == 0, done.stderr
    assert secret not in done.stdout + done.stderr
    (result,) = json.loads(done.stdout)["results"]
    for path in Path(result["record"]).parent.iterdir():
        assert secret.encode() not in path.read_bytes(), path.name


def test_the_report_shows_the_latency_distribution_as_a_picture(mlorch, results):
    done = mlorch(
        *("run", "image-fashion", "-s", "SingleStream", "-m", "performance", "--duration", "1s"),
        *("-o", str(results), "--json"),
    )
    (result,) = json.loads(done.stdout)["results"]
    out = results / "report.html"
    done = mlorch("results", "report", result["run_id"], "--results", str(results), "--output", str(out))
    assert done.returncode == 0, done.stderr
    for text in (out.read_text(), (Path(result["record"]).parent / "report.html").read_text()):
        assert "image-fashion" in text
        assert "<svg" in text
        assert "not an MLPerf submission" in text
        assert "<script" not in text
        assert "://" not in text.replace("http://www.w3.org/", "")


@pytest.mark.parametrize(("name", "version"), [("v4.1", "4.1.30"), ("v5.0", "5.0.21")])
def test_an_older_round_runs_with_its_own_loadgen(mlorch, results, name, version):
    """The two that differ from the newest most: another word for the conf, and no count of errors in the log."""
    short = ("-s", "SingleStream", "-m", "performance", "--duration", "1s")
    (result,) = run(mlorch, results, "image-fashion", *short, "--round", name)
    record = json.loads(Path(result["record"]).read_text())
    assert record["round"] == name
    assert record["measured"]["loadgen"]["loadgen_version"].startswith(version)
    assert result["valid"] is True
