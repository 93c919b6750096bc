"""A model that answers token by token under real LoadGen: the whole harness as a process, over an invented model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("mlperf_loadgen")

from generation_parts import generation_settings  # noqa: E402

ROOT = Path(__file__).parents[2]
SAMPLES, LONGEST, LIMIT = 64, 12, 6
pytestmark = pytest.mark.slow
MODEL = """
import os, sys, time
import numpy as np
from orchestrator.harness import app, backends
class Model:
    "Answers prompt 7 7 7 with 1007 2007 …, one token fewer than is allowed; BREAK is the prompt that it breaks on."
    def load(self, settings, threads, room):
        assert room.tokens >= 12 + 6
    def generate(self, prompt, limit, first):
        assert (prompt == prompt[0]).all() and len(prompt) == 1 + prompt[0] % 12, prompt
        tokens = []
        for number in range(1, limit):
            time.sleep(0.001)
            tokens.append(1000 * number + int(prompt[0]))
            if number == 1:
                first(np.array(tokens, np.int32))
            if number == BREAK[1] and prompt[0] == BREAK[0]:
                raise RuntimeError("the model broke")
        return np.array(tokens, np.int32)
    def describe(self):
        return {"framework": "invented"}
BREAK = (int(os.environ["BREAK_ON"]), int(os.environ["BREAK_AT"]))
backends.generator = lambda name: Model()
os._exit(app.main(sys.argv[1:], 1))
"""


@pytest.fixture
def document(tmp_path) -> dict:
    prompts = np.zeros((SAMPLES, LONGEST), np.int32)
    for index in range(SAMPLES):
        prompts[index, : 1 + index % LONGEST] = index
    settings = generation_settings(tmp_path, prompts, limit=LIMIT)
    settings |= {"backend": "llamacpp", "providers": ["CPU"]}
    settings["loadgen"]["min_duration_ms"] = 600
    settings["execution"]["cpus"] = sorted(os.sched_getaffinity(0))[:2]
    return settings


def run(document: dict, folder: Path, break_on: int = -1, break_at: int = 0) -> tuple[int, str, dict]:
    """Exit status, output and harness.json."""
    (folder / "settings.json").write_text(json.dumps(document))
    done = subprocess.run(
        [sys.executable, "-c", MODEL, str(folder / "settings.json")],
        env={"PYTHONPATH": str(ROOT), "BREAK_ON": str(break_on), "BREAK_AT": str(break_at)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, json.loads((folder / "harness.json").read_text())


@pytest.mark.parametrize("scenario", ["Offline", "Server", "Interactive", "SingleStream", "MultiStream"])
def test_each_scenario_times_tokens(document, tmp_path, scenario):
    document["scenario"] = scenario
    code, output, record = run(document, tmp_path)
    assert code == 0, output
    summary = (tmp_path / "mlperf_log_summary.txt").read_text()
    assert f"Scenario : {'Server' if scenario == 'Interactive' else scenario}" in summary
    assert "No errors encountered" in summary
    figure = {"Offline": "Tokens per second", "Server": "Completed tokens per second"}
    assert figure.get(scenario, "First Token latency" if scenario != "Interactive" else "First Token") in summary
    assert record["backend"] == {"framework": "invented"}
    effective = record["effective"]
    alone = scenario == "SingleStream"
    assert effective["batch"] == {"value": 1 if alone else 2, "source": "default"}
    assert ("ttft_latency_ns" in effective) == (scenario in {"Server", "Interactive"})
    assert record["calibration"]["samples_per_second"] > 0
    if scenario == "Interactive":
        assert "ttft_latency (ns): 1000000000" in summary
        assert "Result is : VALID" in summary
        assert effective["min_query_count"]["value"] == 64


def test_a_rate_that_is_far_too_high_ends_the_test_when_no_more_can_be_in_time(document, tmp_path):
    """The rate is given, as `--find` gives it, so that nothing was calibrated: the limits of latency say when."""
    document["scenario"] = "Server"
    document["loadgen"] |= {
        "min_duration_ms": 3000, "target_qps": 3000, "ttft_latency_ns": 20_000_000, "tpot_latency_ns": 5_000_000,
    }  # fmt: skip
    code, output, record = run(document, tmp_path)
    assert code == 0, output
    assert record["calibration"] is None
    assert "Result is : INVALID" in (tmp_path / "mlperf_log_summary.txt").read_text()
    done = [json.loads(line)["done"] for line in output.splitlines() if line.startswith('{"event": "progress"')]
    assert 1000 < done[-1] < 6000, "of the 9,000 queries of three seconds"


@pytest.mark.parametrize("scenario", ["Offline", "SingleStream"])
def test_every_sample_is_answered_with_its_tokens_and_their_count(document, tmp_path, scenario):
    document |= {"scenario": scenario, "mode": "accuracy"}
    code, output, record = run(document, tmp_path)
    assert code == 0, output
    assert record["accuracy"] is None, "a step of its own counts it"
    logged = json.loads((tmp_path / "mlperf_log_accuracy.json").read_text())
    assert sorted(entry["qsl_idx"] for entry in logged) == list(range(SAMPLES))
    for entry in logged:
        expected = np.array([1000 * number + entry["qsl_idx"] for number in range(1, LIMIT)], np.int32)
        assert bytes.fromhex(entry["data"]) == expected.tobytes()
        assert entry["token_count"] == LIMIT - 1
        if scenario == "SingleStream":
            assert bytes.fromhex(entry["token_data"]) == expected[:1].tobytes()


@pytest.mark.parametrize("scenario", ["Offline", "Server", "Interactive", "SingleStream"])
@pytest.mark.parametrize("break_at", [1, 3])
def test_a_model_that_breaks_in_mid_answer_ends_the_test_soon_with_a_record(document, tmp_path, scenario, break_at):
    document["scenario"] = scenario
    document["loadgen"] |= {"target_qps": 50.0, "expected_latency_ns": 10_000_000}  # no trial: it breaks in the test
    document["loadgen"]["min_duration_ms"] = 60_000
    started = time.monotonic()
    code, output, record = run(document, tmp_path, break_on=20, break_at=break_at)
    assert time.monotonic() - started < 60, output
    assert code == 1
    assert record["error"] == {"type": "RuntimeError", "message": "the model broke"}


TEST06 = {
    "mode": 2, "accuracy_log_rng_seed": 720381539243781796, "accuracy_log_sampling_target": 100, "min_query_count": 100,
    "min_duration": 0, "sample_concatenate_permutation": 0,
}  # fmt: skip


@pytest.mark.parametrize("scenario", ["Offline", "Server", "Interactive", "SingleStream"])
def test_test06_logs_a_hundred_answers_each_with_its_first_token_and_their_count(document, tmp_path, scenario):
    """What MLCommons' script compares: the first token as it was told with the answer, and its length."""
    document |= {"scenario": scenario, "audit": {"test": "TEST06", "settings": TEST06}}
    document["loadgen"]["min_duration_ms"] = 60_000  # the audit.config has another one
    code, output, _ = run(document, tmp_path)
    assert code == 0, output
    assert "Result is : VALID" in (tmp_path / "mlperf_log_summary.txt").read_text()
    logged = json.loads((tmp_path / "mlperf_log_accuracy.json").read_text())
    assert len(logged) == 100
    for entry in logged:
        tokens = np.frombuffer(bytes.fromhex(entry["data"]), np.int32)
        assert entry["token_count"] == len(tokens) == LIMIT - 1
        first = entry.get("token_data")
        assert first is None if scenario == "Offline" else bytes.fromhex(first) == tokens[:1].tobytes()
