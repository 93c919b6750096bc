"""A small submission to v5.1 that nothing is wrong with, for tests to break: two systems, both divisions."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.submissions.check import check_tree
from orchestrator.submissions.findings import Rulebook

SEEDS = {
    "qsl_rng_seed": 1780908523862526354,
    "sample_index_rng_seed": 14771362308971278857,
    "schedule_rng_seed": 18209322760996052031,
}
RESNET = "closed/Acme/results/box/resnet"
LLAMA = "open/Acme/results/rack/llama2-70b-99"
ALL = ("SingleStream", "MultiStream", "Offline")


@cache
def rules(name: str = "v5.1"):
    return load([builtin_root()]).round_rules(name)


def check(root: Path, *, round_name: str = "v5.1", official: bool = False, skip: tuple[str, ...] = (), **more):
    """What a check of a tree finds."""
    book = Rulebook(rules(round_name), as_official=official, ignored=frozenset(skip))
    return check_tree(root, book, **more)


def found(checked) -> set[tuple[str, str]]:
    """The rules that are broken, and where."""
    return {(each.rule, each.path) for each in checked.findings}


def line(key: str, value: object, *, error: bool = False) -> str:
    """An entry of a detail log, as LoadGen writes it."""
    about = {"is_error": error, "is_warning": False, "file": "results.cc", "line_no": 1, "pid": 7, "tid": 7}
    entry = {"key": key, "value": value, "time_ms": 0.5, "namespace": "mlperf::logging"}
    return ":::MLLOG " + json.dumps({**entry, "event_type": "POINT_IN_TIME", "metadata": about})


def values_of(scenario: str, **changes: object) -> dict[str, object]:
    """What a good performance test says."""
    return {
        "loadgen_version": "5.1.0 @ 091d51f041",
        "sut_name": "PySUT",
        "qsl_reported_total_count": 50000,
        "requested_use_token_latencies": False,
        "effective_scenario": scenario,
        "effective_test_mode": "PerformanceOnly",
        "effective_samples_per_query": 24576 if scenario == "Offline" else 1,
        "effective_target_latency_ns": 0,
        "effective_min_duration_ms": 600000,
        "effective_min_query_count": 100,
        "effective_performance_sample_count": 24576,
        "effective_sample_concatenate_permutation": True,
        **{f"effective_{name}": seed for name, seed in SEEDS.items()},
        "loaded_qsl_set": list(range(50)),
        "power_begin": "07-31-2025 09:26:03.554",
        "power_end": "07-31-2025 09:41:24.027",
        "result_validity": "VALID",
        "early_stopping_met": True,
        "early_stopping_result": " * Run successful.",
        "early_stopping_latency_ss": 2500000,
        "early_stopping_latency_ms": 16000000,
        "result_query_count": 1000,
        "result_samples_per_second": 1234.5,
        "result_completed_samples_per_sec": 99.25,
        "result_tokens_per_second": 5678.25,
        "result_completed_tokens_per_second": 4321.5,
        "result_qps_without_loadgen_overhead": 321.5,
        "result_mean_latency_ns": 2000000,
        "result_mean_query_latency_ns": 16000000,
        "result_99.00_percentile_latency_ns": 3000000,
        "result_99.00_percentile_per_query_latency_ns": 20000000,
        "num_errors": 0,
        **changes,
    }


def write_log(folder: Path, values: dict[str, object], more: tuple[str, ...] = ()) -> None:
    """The files of LoadGen in a folder; a value that is None stands nowhere."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [line(key, value) for key, value in values.items() if value is not None]
    (folder / "mlperf_log_detail.txt").write_text("\n".join((*lines, *more)) + "\n", encoding="utf-8")
    (folder / "mlperf_log_summary.txt").write_text("Result is : VALID\n", encoding="utf-8")


def change_log(root: Path, path: str, *more: str, **changes: object) -> None:
    """A performance test's log with other values."""
    scenario = Path(path).name
    write_log(root / path / "performance" / "run_1", values_of(scenario, **changes), more)


def write(path: Path, text: str) -> None:
    """A file with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def system_json(place: str, name: str, kind: str, **changes: object) -> dict[str, object]:
    """A system's description with every field."""
    fields = dict.fromkeys(rules().checker.fields.system, "N/A")
    said = {"division": place, "submitter": "Acme", "status": "available", "system_type": kind}
    return {**fields, **said, "system_name": f"The {name}", "hw_notes": "", "sw_notes": "tuned", **changes}


def write_result(root: Path, results: str, scenario: str, accuracy: str, tests: tuple[str, ...] = ()) -> None:
    """A result with its measurements and compliance tests."""
    division, submitter, _, system, model = results.split("/")
    folder = root / results / scenario
    samples = {"resnet": 50000, "llama2-70b-99": 24576}[model]
    tokens = {"requested_use_token_latencies": True} if model.startswith("llama") else {}
    write_log(folder / "performance" / "run_1", values_of(scenario, **tokens))
    write_log(folder / "accuracy", values_of(scenario, qsl_reported_total_count=samples))
    write(folder / "accuracy" / "mlperf_log_accuracy.json", "[]\n")
    write(folder / "accuracy" / "accuracy.txt", f"{accuracy}\nhash=0123abc\n")
    measured = root / division / submitter / "measurements" / system / model / scenario
    about = dict.fromkeys(rules().checker.fields.measurements, "int8")
    for name, text in (("user.conf", "x"), ("README.md", "x"), (f"{system}_ours_{scenario}.json", json.dumps(about))):
        write(measured / name, text)
    for test in tests:
        where = root / division / submitter / "compliance" / system / model / scenario / test
        write_log(where / "performance" / "run_1", values_of(scenario))
        write(where / "verify_performance.txt", "TEST PASS\n")
        if test == "TEST01":
            write(where / "verify_accuracy.txt", "TEST PASS\n")
            write(where / "accuracy" / "mlperf_log_accuracy.json", "[]\n")
            write(where / "accuracy" / "accuracy.txt", f"{accuracy}\n")


def good_tree(root: Path) -> Path:
    """The whole tree."""
    for scenario in ALL:
        write_result(root, RESNET, scenario, "accuracy=76.46%, good=38230", ("TEST01", "TEST04"))
    text = "{'rouge1': 44.5, 'rouge2': 22.1, 'rougeL': 28.7, 'tokens_per_sample': 294.4}"
    write_result(root, LLAMA, "Offline", text)
    for division, name, kind, model in (
        ("closed", "box", "edge", "resnet"),
        ("open", "rack", "datacenter", "llama2-70b-99"),
    ):
        write(root / division / "Acme" / "systems" / f"{name}.json", json.dumps(system_json(division, name, kind)))
        write(root / division / "Acme" / "code" / model / "README.md", "where it is\n")
    write(root / "closed" / "Acme" / "calibration.md", "how\n")
    return root


def row(checked, location: str) -> SimpleNamespace:
    """The row of a result by its columns."""
    place = checked.columns.index("Location")
    (one,) = [each for each in checked.rows if each[place] == location]
    return SimpleNamespace(**dict(zip(checked.columns, one, strict=True)))
