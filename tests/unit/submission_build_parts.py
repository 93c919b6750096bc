"""Folders of results that a tree can be built from: recorded logs with the seeds and lengths of a round."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from results_parts import CASES, LOGS, RIGHT, SAMPLES, record_of

from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.facts.compliance import FOLDER, ComparedFact, ComplianceFact
from orchestrator.facts.record import AssetId, FileHash, Moment, RunRecord, Setting
from orchestrator.host import recipe_files
from orchestrator.host.files import sha256_file
from orchestrator.results.measure import measure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.facts.rounds import RoundRules
    from orchestrator.results.store import Store

HOST = {
    "system_id": "b5b5706538100a5e",
    "hostname": "secret-host",
    "cpu_model": "Some(R) Processor 9000",
    "sockets": 2,
    "cores": [[0], [1], [2], [3]],
    "memory_total": 24 << 30,
    "distribution": "Debian GNU/Linux 12",
    "kernel": "6.1.0",
    "virtualisation": "",
}
PACKAGES = {"numpy": "2.4.6", "onnxruntime": "1.32.0", "mlcommons-loadgen": "6.0.17"}
OVERLAY = """\
system:
  status: available
  system_type: edge
  host_memory_configuration: 4x 8 GB
  host_storage_capacity: 1 TB
  host_storage_type: NVMe
  host_networking: Ethernet
  host_network_card_count: 1
  host_networking_topology: N/A
  cooling: air
measurements:
  image-fashion: {weight_data_types: fp32}
  image-smoke: {weight_data_types: fp32}
"""
_CASE_OF = {scenario: case for case, (scenario, mode, valid) in CASES.items() if mode == "performance" and valid}
_CASE_OF["Offline"], _CASE_OF["Server"], _CASE_OF["SingleStream"] = "offline", "server", "singlestream"
_CASE_OF["Interactive"] = "server"


def rules_of(*names: str) -> dict[str, RoundRules]:
    """The rules of built-in rounds, by name."""
    catalog = load([builtin_root()], recipe_files)
    return {name: catalog.round_rules(name) for name in names}


def add_pair(store: Store, rules: RoundRules, scenario: str = "Offline", second: int = 0, **more: object) -> None:
    """A performance test and, a second later, an accuracy test of one scenario."""
    add_test(store, rules, scenario, "performance", second, **more)
    add_test(store, rules, scenario, "accuracy", second + 1, **more)


MLPERF = {"benchmark": "resnet50", "benchmark_title": "ResNet-50", "official": True}
"""What the record of MLPerf's own benchmark says."""


def add_closed(
    store: Store,
    rules: RoundRules,
    scenario: str = "Offline",
    second: int = 0,
    *,
    tests: tuple[str, ...] = ("TEST01", "TEST04"),
    said: str = "TEST PASS",
    **more: object,
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """A result of MLPerf's own benchmark and its compliance ``tests``, of which their script ``said`` this."""
    more = {**MLPERF, **more}
    runs = tuple(
        add_test(store, rules, scenario, mode, second + number, **more)
        for number, mode in enumerate(("performance", "accuracy"))
    )
    made = tuple(
        add_test(store, rules, scenario, "compliance", second + 2 + number, test=name, compared=runs, said=said, **more)
        for number, name in enumerate(tests)
    )
    return runs, made


def add_test(
    store: Store,
    rules: RoundRules,
    scenario: str,
    mode: str,
    second: int = 0,
    *,
    case: str = "",
    seconds: int = 600,
    data_samples: int = SAMPLES,
    latency_ms: int = 20,
    accuracy_entries: int = 0,
    right: int = RIGHT,
    test: str = "",
    compared: tuple[Path, ...] = (),
    said: str = "TEST PASS",
    **changes: object,
) -> Path:
    """A test that ended, as if LoadGen had been asked for ``seconds`` by a round's rules; ``changes`` of its record.

    A compliance ``test`` is one that was ``compared`` with runs, of which MLCommons' script ``said`` this.
    """
    if test:
        changes["compliance"] = _fact(rules, test, compared)
    case = case or ("accuracy" if mode == "accuracy" else _CASE_OF[scenario])
    record = _record(case, scenario, mode, second, rules, changes)
    folder = store.begin(record)
    for source in sorted((LOGS / case).iterdir()):
        shutil.copy(source, folder)
    detail = folder / "mlperf_log_detail.txt"
    more = {"qsl_reported_total_count": data_samples, "effective_accuracy_sample_count": data_samples}
    if scenario == "Server":
        more["effective_target_latency_ns"] = latency_ms * 10**6
    detail.write_text(_of_round(detail.read_text(), rules, scenario, seconds, more))
    for name in changes["compliance"].files if test else ():
        _leave(folder, f"{FOLDER}/{test}/{name}", said)
    if accuracy_entries:
        lines = [f'{{ "seq_id" : {n}, "qsl_idx" : {n}, "data" : "00" }},\n' for n in range(accuracy_entries)]
        (folder / "mlperf_log_accuracy.json").write_text("[\n" + "".join(lines) + "]\n")
    accuracy = None
    if mode == "accuracy":
        share = round(100 * right / SAMPLES, 4)
        accuracy = {"metric": "top1", "value": share, "unit": "%", "correct": right, "samples": SAMPLES}
    harness = {"version": 2, "status": "done", "error": None, "effective": {}, "accuracy": accuracy}
    (folder / "harness.json").write_text(json.dumps(harness))
    settings = {
        "run_id": record.run_id,
        "benchmark": record.benchmark,
        "scenario": scenario,
        "mode": mode,
        "dataset": {"samples": SAMPLES},
        "model": {"path": "/models/resnet8-fashion/model.onnx", "inputs": [{"name": "x", "dtype": "uint8"}]},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    measured, _ = measure(record, folder, harness)
    valid = None if mode == "accuracy" else CASES[case][2]
    files = {
        str(path.relative_to(folder)): FileHash(sha256=sha256_file(path), size=path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.name != "run.json" and path.is_file()
    }
    store.finish(replace(record, status="done", measured=measured, valid=valid, exit_code=0, files=files))
    return folder


def _fact(rules: RoundRules, test: str, compared: tuple[Path, ...]) -> ComplianceFact:
    how = rules.compliance[test]
    runs = {path.name: "accuracy" if "-accuracy-" in path.name else "performance" for path in compared}
    return ComplianceFact(
        test=test,
        round=rules.name,
        commit="b66003e1",
        image="mlorch/compliance:0",
        command=how.command,
        compared=tuple(ComparedFact(mode=mode, run_id=run_id) for run_id, mode in runs.items()),
        files=how.files,
        passes=how.passes,
        fails=how.fails,
    )


def _leave(folder: Path, name: str, said: str) -> None:
    """A file that MLCommons' script leaves: a verdict, or a copy of a log."""
    path, log = folder / name, folder / name.rpartition("/")[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    if "verify_" in path.name:
        path.write_text(f"{said}\n")
    elif "/performance/" in name:
        shutil.copy(log, path)
    else:
        path.write_text("[\n" + "\n".join(f'{{ "seq_id" : {n} }},' for n in range(1000)) + "\n]\n")


def _record(
    case: str, scenario: str, mode: str, second: int, rules: RoundRules, changes: dict[str, object]
) -> RunRecord:
    first = record_of(case, second % 60)
    benchmark = str(changes.get("benchmark", "image-fashion"))
    run_id = f"20261124T01{41 + second // 60}{second % 60:02d}Z-{benchmark}-cpu-{scenario.lower()}-{mode}-{second:04x}"
    values: dict[str, object] = {
        "run_id": run_id,
        "scenario": scenario,
        "mode": mode,
        "started": Moment(utc=first.started.utc, unix_ns=first.started.unix_ns + 60 * 10**9 * (second // 60)),
        "round": rules.name,
        "stands_for": "resnet",
        "host": HOST,
        "container_facts": {"python": "3.11.2", "packages": PACKAGES},
        "command_line": ("mlorch", "run", benchmark, "--results", "/home/alice/results", "--data", "m=/srv/m"),
        "settings": {
            "loadgen.min_duration_ms": Setting(value=600_000, source=f"round {rules.name}"),
            "loadgen.target_qps": Setting(value=7000.0, source="command line"),
        },
    }
    return replace(first, **{**values, **changes})


def _of_round(text: str, rules: RoundRules, scenario: str, seconds: int, more: Mapping[str, object]) -> str:
    """A detail log with a round's seeds, and lengths that it takes."""
    values: dict[str, object] = {f"effective_{name}": value for name, value in rules.seeds.items()}
    values |= {"effective_min_duration_ms": seconds * 1000, "effective_performance_sample_count": 1024, **more}
    values |= {"effective_scenario": json.dumps(scenario if scenario != "Interactive" else "Server")}
    if scenario == "Offline":
        values["effective_samples_per_query"] = 24576 if seconds >= 600 else 100
    for key, value in values.items():
        text = re.sub(rf'("key": "{key}", "value": )("[^"]*"|[^,]+)', rf"\g<1>{value}", text)
    return text


def model_files(**files: str) -> AssetId:
    """Another model than the usual one."""
    return AssetId(kind="model", name="resnet8-fashion", files=files)
