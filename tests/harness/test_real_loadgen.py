"""The whole harness as a process under real LoadGen, with the shipped ResNet-8 on invented pictures.

Needs numpy, onnxruntime and mlperf_loadgen beside the tests; where they are absent, the
tests of the images in tests/engine cover the same.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("onnxruntime")
pytest.importorskip("mlperf_loadgen")

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "recipes" / "models" / "resnet8-fashion" / "model.onnx"
SAMPLES = 100
pytestmark = pytest.mark.slow


@pytest.fixture
def document(tmp_path) -> dict:
    pictures = np.random.default_rng(0).integers(0, 256, (SAMPLES, 1, 28, 28), np.uint8)
    np.save(tmp_path / "images.npy", pictures)
    np.save(tmp_path / "labels.npy", np.zeros(SAMPLES, np.int32))
    cpus = sorted(os.sched_getaffinity(0))[:2]
    return {
        "version": 2,
        "run_id": "test",
        "benchmark": "image-fashion",
        "task": "image-classification",
        "scenario": "Offline",
        "mode": "performance",
        "backend": "onnxruntime",
        "providers": ["CPUExecutionProvider"],
        "model": {
            "path": str(MODEL),
            "inputs": [{"name": "x", "dtype": "uint8", "scale": 1.0, "array": "inputs", "varies": False}],
            "outputs": ["logits"],
        },
        "dataset": {
            "arrays": {"inputs": str(tmp_path / "images.npy"), "labels": str(tmp_path / "labels.npy")},
            "samples": SAMPLES,
            "performance_samples": SAMPLES,
        },
        "loadgen": {
            "min_duration_ms": 500,
            "max_duration_ms": 0,
            "min_query_count": 10,
            "target_qps": 1000.0,
            "expected_latency_ns": 50_000,
            "target_latency_ns": 100_000_000,
            "target_latency_percentile": None,
            "samples_per_query": 8,
        },
        "execution": {"cpus": cpus, "instances": 1, "threads": 1, "batch": 4, "batch_delay_us": 0},
        "accuracy": {"metric": "top1", "unit": "%"},
    }


HARNESS = ("-m", "orchestrator.harness")


def start(document: dict, folder: Path, program: tuple[str, ...] = HARNESS) -> subprocess.Popen:
    (folder / "settings.json").write_text(json.dumps(document))
    command = [sys.executable, *program, str(folder / "settings.json")]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={"PYTHONPATH": str(ROOT)}
    )


def run(document: dict, folder: Path, program: tuple[str, ...] = HARNESS) -> tuple[int, list[str], dict]:
    """Exit status, lines and harness.json."""
    process = start(document, folder, program)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output.splitlines(), json.loads((folder / "harness.json").read_text())


@pytest.mark.parametrize("scenario", ["Offline", "Server", "SingleStream", "MultiStream"])
def test_each_scenario_ends_with_loadgens_result_and_the_record(document, tmp_path, scenario):
    document["scenario"] = scenario
    code, lines, record = run(document, tmp_path)
    assert code == 0, lines
    summary = (tmp_path / "mlperf_log_summary.txt").read_text()
    assert f"Scenario : {scenario}" in summary
    assert "No errors encountered" in summary
    assert record["status"] == "done"
    times = list(record["times"].values())
    assert times == sorted(times)
    assert times[0] > 0
    phases = [json.loads(line)["name"] for line in lines if '"phase"' in line]
    assert phases == ["load", "calibrate", "warmup", "test", "done"]
    least = {"MultiStream": 662, "SingleStream": 64}.get(scenario)
    if least:
        assert record["effective"]["min_query_count"] == {"value": least, "source": "early stopping"}
        assert f"min_query_count : {least}" in summary


@pytest.mark.parametrize("name", ["resnet50", "whisper"])
def test_a_benchmark_is_not_taken_for_a_model_of_loadgen_s_conf_by_its_name(document, tmp_path, name):
    """That would change counts, limits and permutations, and nothing would say so."""
    used = []
    for called in ("image-fashion", name):
        folder = tmp_path / called
        folder.mkdir()
        assert run({**document, "benchmark": called}, folder)[0] == 0
        log = (folder / "mlperf_log_detail.txt").read_text()
        used.append(sorted(re.findall(r'"key": "(effective_[^"]+)", "value": ("[^"]*"|[^,]+)', log)))
    assert used[0] == used[1]
    assert len(used[0]) > 20


def test_what_is_left_open_is_measured_and_said(document, tmp_path):
    document["execution"] |= {"instances": None, "threads": None, "batch": None}
    document["loadgen"]["target_qps"] = None
    code, _, record = run(document, tmp_path)
    assert code == 0
    assert record["calibration"]["seconds"] <= 10  # 2.3 on a machine that does nothing else
    assert record["effective"]["target_qps"]["source"] == "calibrated"
    assert record["effective"]["batch"]["source"] == "calibrated"
    assert "Min duration satisfied : Yes" in (tmp_path / "mlperf_log_summary.txt").read_text()


@pytest.mark.parametrize("scenario", ["Offline", "MultiStream"])
def test_accuracy_covers_every_sample_once(document, tmp_path, scenario):
    document |= {"scenario": scenario, "mode": "accuracy"}
    code, _, record = run(document, tmp_path)
    assert code == 0
    assert record["accuracy"]["samples"] == SAMPLES
    assert 0 <= record["accuracy"]["correct"] <= SAMPLES


def test_pictures_that_do_not_fit_the_model_are_a_failure_with_a_record(document, tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((SAMPLES, 1, 28, 27), np.uint8))
    code, _, record = run(document, tmp_path)
    assert code == 1
    assert record["status"] == "failed"
    assert "28" in record["error"]["message"]


BREAKS = """
import os, sys
from orchestrator.harness import app
from orchestrator.harness.backends import onnx
whole, calls = onnx.OnnxBackend.predict, []
def breaks(self, batch):
    calls.append(1)
    if len(calls) > 40:
        raise RuntimeError("the model broke")
    return whole(self, batch)
onnx.OnnxBackend.predict = breaks
os._exit(app.main(sys.argv[1:], 1))
"""


@pytest.mark.parametrize("scenario", ["Offline", "Server", "SingleStream", "MultiStream"])
def test_a_model_that_breaks_under_loadgen_ends_the_test_soon_with_a_record(document, tmp_path, scenario):
    """LoadGen aborts the process when a callback raises; it must never see one."""
    document["scenario"] = scenario
    document["loadgen"]["min_duration_ms"] = 300_000  # a test that went on would take that long
    document["loadgen"]["expected_latency_ns"] = 2_000_000  # LoadGen makes all its queries before it begins
    started = time.monotonic()
    code, _, record = run(document, tmp_path, ("-c", BREAKS))
    assert time.monotonic() - started < 60
    assert code == 1
    assert record["error"] == {"type": "RuntimeError", "message": "the model broke"}


def test_refused_settings_exit_with_2_and_one_line(document, tmp_path):
    document["loadgen"]["surprise"] = 1
    code, lines, record = run(document, tmp_path)
    assert code == 2
    assert lines == ["settings refused: loadgen.surprise: unknown key"]
    assert record["status"] == "failed"


def test_a_signal_ends_the_test_with_a_record(document, tmp_path):
    document["loadgen"]["min_duration_ms"] = 60_000
    process = start(document, tmp_path)
    for line in process.stdout:
        if '"test"' in line:
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 1
    process.stdout.close()
    record = json.loads((tmp_path / "harness.json").read_text())
    assert record["error"] == {"type": "Stopped", "message": "stopped by SIGTERM"}


def test_a_server_rate_that_nobody_gave_is_searched_by_loadgen_in_the_same_process(document, tmp_path):
    document["scenario"] = "Server"
    document["loadgen"] |= {"target_qps": None, "min_duration_ms": 2000, "target_latency_ns": 200_000_000}
    code, lines, report = run(document, tmp_path)
    assert code == 0, lines
    search, rate = report["search"], report["effective"]["target_qps"]
    assert search["tries"]
    assert search["ended"]
    if search["best"] is not None:  # on a machine that stands still for long no try is good
        assert rate == {"value": pytest.approx(search["best"] * search["margin"], rel=0.01), "source": "searched"}
    detail = (tmp_path / "mlperf_log_detail.txt").read_text()
    assert detail.count('"key": "result_validity"') == 1, "the logs are of the test only"
    # LoadGen writes a whole number without its fraction: 5678, not 5678.0
    (written,) = re.findall(r'"effective_target_qps", "value": ([0-9.e+]+)', detail)
    assert float(written) == pytest.approx(rate["value"], rel=1e-5)


def test_a_saturated_server_is_told_so_long_before_its_time(document, tmp_path):
    document["scenario"] = "Server"
    document["loadgen"] |= {"target_qps": 2e5, "min_duration_ms": 20_000, "target_latency_ns": 10_000_000}
    document["execution"]["batch"] = 1
    began = time.monotonic()
    code, lines, _ = run(document, tmp_path)
    assert code == 0, lines
    detail = (tmp_path / "mlperf_log_detail.txt").read_text()
    assert '"result_validity", "value": "INVALID"' in detail
    assert "Too many outstanding queries" in detail
    assert time.monotonic() - began < 120


# -- compliance tests --------------------------------------------------------------------------

TEST01 = {"mode": 2, "accuracy_log_rng_seed": 720381539243781796, "accuracy_log_sampling_target": 20}
TEST04 = {"mode": 2, "performance_issue_unique": 0, "performance_issue_same": 1, "performance_issue_same_index": 3}


def logged(folder: Path) -> list[dict]:
    return json.loads((folder / "mlperf_log_accuracy.json").read_text())


def test_test01_logs_answers_of_a_performance_test_which_are_those_of_the_accuracy_test(document, tmp_path):
    for name in ("accuracy", "test"):
        (tmp_path / name).mkdir()
    assert run({**document, "mode": "accuracy"}, tmp_path / "accuracy")[0] == 0
    code, lines, record = run({**document, "audit": {"test": "TEST01", "settings": TEST01}}, tmp_path / "test")
    assert code == 0, lines
    assert record["accuracy"] is None
    detail = (tmp_path / "test" / "mlperf_log_detail.txt").read_text()
    assert '"effective_test_mode", "value": "PerformanceOnly"' in detail
    for name, value in TEST01.items():
        assert name == "mode" or f'"effective_{name}", "value": {value},' in detail
    answers = {one["qsl_idx"]: one["data"] for one in logged(tmp_path / "accuracy")}
    sampled = logged(tmp_path / "test")
    assert 0 < len(sampled) < SAMPLES
    assert all(answers[one["qsl_idx"]] == one["data"] != "" for one in sampled)


@pytest.mark.parametrize("scenario", ["Offline", "SingleStream"])
def test_test04_issues_one_sample_again_and_again(document, tmp_path, scenario):
    document |= {"scenario": scenario, "audit": {"test": "TEST04", "settings": TEST04}}
    assert run(document, tmp_path)[0] == 0
    detail = (tmp_path / "mlperf_log_detail.txt").read_text()
    for name, value in {"unique": "false", "same": "true", "same_index": "3"}.items():
        assert f'"effective_performance_issue_{name}", "value": {value},' in detail
    assert (tmp_path / "audit.config").read_text().startswith(f"*.{scenario}.mode = 2\n")


def test_any_other_test_reads_no_audit_config_that_lies_in_its_folder(document, tmp_path):
    (tmp_path / "audit.config").write_text("*.Offline.performance_issue_same = 1\n")
    assert run(document, tmp_path)[0] == 0
    detail = (tmp_path / "mlperf_log_detail.txt").read_text()
    assert '"effective_performance_issue_same", "value": false' in detail
