"""Recorded LoadGen logs, read; and what happens when they are not whole."""

from __future__ import annotations

import re
import shutil

import pytest
from results_parts import CASES, LOGS

from orchestrator.errors import StepFailed
from orchestrator.results import loadgen


@pytest.mark.parametrize("case", CASES)
def test_scenario_mode_and_verdict_are_loadgens(case):
    result = loadgen.parse(LOGS / case)
    assert (result.scenario, result.mode, result.valid) == CASES[case]
    assert result.loadgen_version.startswith("6.0.17")


def _said(case: str, label: str) -> float:
    """What the summary, LoadGen's text for people, says: a second source for the same number."""
    text = (LOGS / case / loadgen.SUMMARY).read_text()
    found = re.search(rf"{re.escape(label)}\s*:\s*([0-9.]+)", text)
    assert found, label
    return float(found[1])


@pytest.mark.parametrize(
    ("case", "name", "unit", "label"),
    [
        ("offline", "samples_per_second", "samples/s", "Samples per second"),
        ("server", "completed_samples_per_second", "samples/s", "Completed samples per second"),
        ("singlestream", "latency_p90_early_stopping", "ns", "Early stopping 90.0th percentile estimate"),
        ("multistream", "latency_p99_early_stopping", "ns", "Early stopping 99.0th percentile estimate"),
        ("singlestream-short", "latency_p90", "ns", "90.00 percentile latency (ns)"),
        ("offline-tokens", "tokens_per_second", "tokens/s", "Tokens per second"),
        ("server-tokens", "completed_tokens_per_second", "tokens/s", "Completed tokens per second"),
        # Where tokens are timed, LoadGen's estimate is one of first tokens, and no result of whole queries.
        ("singlestream-tokens", "latency_p90", "ns", "90.00 percentile latency (ns)"),
    ],
)
def test_the_result_is_the_number_of_the_summary(case, name, unit, label):
    result = loadgen.parse(LOGS / case).result
    assert (result.name, result.unit) == (name, unit)
    assert result.value == pytest.approx(_said(case, label), rel=1e-4)


@pytest.mark.parametrize("case", ["server-tokens", "singlestream-tokens"])
def test_first_and_later_tokens_are_timed_apart(case):
    result = loadgen.parse(LOGS / case)
    found = {metric.name: metric.value for metric in result.metrics}
    assert found["ttft_p99"] == _said(case, "99.00 percentile first token latency (ns)")
    assert found["tpot_p99"] == _said(case, "99.00 percentile time to output token (ns)")
    assert not {"latency_p90_early_stopping"} & found.keys()
    if case.startswith("single"):
        assert found["ttft_p90_early_stopping"] == _said(case, "Early stopping 90.0th percentile estimate")


def test_a_rate_is_one_of_samples_whatever_the_result_counts():
    for case, name in (("offline-tokens", "samples_per_second"), ("server-tokens", "completed_samples_per_second")):
        result = loadgen.parse(LOGS / case)
        assert result.result.unit == "tokens/s"
        assert result.rate == next(one.value for one in result.metrics if one.name == name)
    assert loadgen.parse(LOGS / "singlestream").rate is None


@pytest.mark.parametrize("case", [case for case, (_, mode, _) in CASES.items() if mode == "performance"])
def test_latencies_are_those_of_the_summary(case):
    found = loadgen.parse(LOGS / case).latency_ns
    assert list(found) == ["min", "p50", "p90", "p95", "p97", "p99", "p99.9", "max", "mean"]
    for name, label in (("p50", "50.00"), ("p90", "90.00"), ("p97", "97.00"), ("p99", "99.00"), ("p99.9", "99.90")):
        assert found[name] == _said(case, f"{label} percentile latency (ns)")
    assert found["mean"] == _said(case, "Mean latency (ns)")
    assert found["min"] <= found["p50"] <= found["p99"] <= found["max"]


def test_an_invalid_result_says_why():
    server = loadgen.parse(LOGS / "server-invalid")
    assert "too many queries over the latency limit" in server.reasons
    assert "Reduce target QPS to improve latency." in server.reasons
    assert any("Would need to run" in point for point in server.early_stopping)
    short = loadgen.parse(LOGS / "singlestream-short")
    assert short.num_errors == 1
    assert "Ran out of generated queries" in short.errors[0]


def test_a_valid_result_has_no_reasons_and_counts_samples():
    result = loadgen.parse(LOGS / "multistream")
    assert result.reasons == ()
    assert result.errors == ()
    assert result.sample_count == result.query_count * 8
    assert result.effective["min_duration_ms"] == 2000
    assert {"qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed"} <= set(result.effective)


def test_accuracy_mode_has_no_verdict_and_no_metrics():
    result = loadgen.parse(LOGS / "accuracy")
    assert (result.valid, result.metrics, result.latency_ns) == (None, (), {})


@pytest.mark.parametrize("missing", [loadgen.DETAIL, loadgen.SUMMARY])
def test_a_missing_log_is_named(tmp_path, missing):
    folder = shutil.copytree(LOGS / "offline", tmp_path / "run")
    (folder / missing).unlink()
    with pytest.raises(StepFailed, match=re.escape(missing)) as caught:
        loadgen.parse(folder)
    assert caught.value.slug == "loadgen-log"


@pytest.mark.parametrize("name", [loadgen.DETAIL, loadgen.SUMMARY])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("case", ["offline", "accuracy"])
def test_a_log_that_is_cut_off_gives_no_result(tmp_path, name, share, case):
    folder = shutil.copytree(LOGS / case, tmp_path / "run")
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(StepFailed) as caught:
        loadgen.parse(folder)
    assert caught.value.slug == "loadgen-log"


def _of_version(folder, version: str) -> None:
    """The detail log as a LoadGen of ``version`` ends it, without its count of errors."""
    path = folder / loadgen.DETAIL
    lines = [line for line in path.read_text().splitlines(keepends=True) if '"num_errors"' not in line]
    path.write_text("".join(lines).replace('"6.0.17', f'"{version}'))


@pytest.mark.parametrize(("version", "whole"), [("4.1.30", True), ("5.0.9", True), ("5.0.21", False)])
def test_an_older_loadgen_does_not_count_its_errors(tmp_path, version, whole):
    folder = shutil.copytree(LOGS / "offline", tmp_path / "run")
    _of_version(folder, version)
    if not whole:
        with pytest.raises(StepFailed, match="num_errors"):
            loadgen.parse(folder)
        return
    found = loadgen.parse(folder)
    assert (found.valid, found.num_errors) == (True, 0)
    assert found.loadgen_version.startswith(version)
    text = (folder / loadgen.DETAIL).read_text()
    (folder / loadgen.DETAIL).write_text(text[: text.index('"result_99.90')])
    with pytest.raises(StepFailed, match="cut off"):
        loadgen.parse(folder)


def test_lines_that_are_not_utf8_or_not_json_are_stepped_over(tmp_path):
    folder = shutil.copytree(LOGS / "server", tmp_path / "run")
    path = folder / loadgen.DETAIL
    path.write_bytes(b'\xff\xfe\n:::MLLOG {"key": "result_x", broken\n' + path.read_bytes())
    assert loadgen.parse(folder).valid is True
