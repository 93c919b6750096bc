"""Whole result folders made from recorded LoadGen logs (tests/fixtures/loadgen)."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.facts.containers import Owner
from orchestrator.facts.record import (
    AccuracyGoal,
    AssetId,
    ContainerRun,
    FileHash,
    ImageId,
    LayerId,
    LicenceFact,
    Moment,
    MountFact,
    RecipeId,
    RunRecord,
    Setting,
)
from orchestrator.facts.record_file import from_json, seal, to_json
from orchestrator.host.files import sha256_file
from orchestrator.results.measure import measure

if TYPE_CHECKING:
    from orchestrator.results.store import Store

LOGS = Path(__file__).parents[1] / "fixtures" / "loadgen"
CASES = {
    "offline": ("Offline", "performance", True),
    "singlestream": ("SingleStream", "performance", True),
    "multistream": ("MultiStream", "performance", True),
    "server": ("Server", "performance", True),
    "server-invalid": ("Server", "performance", False),
    "singlestream-short": ("SingleStream", "performance", False),
    "offline-tokens": ("Offline", "performance", True),
    "server-tokens": ("Server", "performance", True),
    "singlestream-tokens": ("SingleStream", "performance", True),
    "accuracy": ("Offline", "accuracy", None),
}
SAMPLES, RIGHT = 64, 58
"""Of `accuracy`: the recorded SUT answers `index % 10`, but wrongly for every 11th sample."""

LAYERS = (
    ("base", "debian-12"),
    ("runtime", "cpu"),
    ("framework", "onnxruntime-cpu"),
    ("loadgen", "loadgen"),
    ("harness", "harness-deps"),
    ("code", "harness-code"),
    ("benchmark", "image-fashion"),
)


def record_of(case: str, second: int = 0) -> RunRecord:
    """The first record of a recorded case, begun ``second`` seconds into a minute."""
    scenario, mode, _ = CASES[case]
    stamp = f"20261124T0141{second:02d}Z"
    return RunRecord(
        run_id=f"{stamp}-image-fashion-cpu-{scenario.lower()}-{mode}-{second:04x}",
        session=f"{stamp[:13]}00Z-77aa",
        status="running",
        benchmark="image-fashion",
        benchmark_title="Fashion-MNIST with a ResNet-8",
        stands_for="image classification",
        target="cpu",
        scenario=scenario,
        mode=mode,
        started=Moment(utc=f"2026-11-24T01:41:{second:02d}Z", unix_ns=1795484460_000000000 + second * 10**9),
        owner=Owner(pid=4194303, start_ticks=1, boot_id="an-older-boot"),
        mlorch_version="0.1.0",
        command_line=("mlorch", "run", "image-fashion", "--scenario", scenario),
        image=ImageId(
            reference=f"mlorch/image-fashion:{'ab' * 32}",
            image_id=f"sha256:{'12' * 32}",
            digest=f"mlorch/image-fashion@sha256:{'34' * 32}",
            layers=tuple(
                LayerId(name=name, level=level, content_id=f"{number:02x}" * 32)
                for number, (level, name) in enumerate(LAYERS, 0xA1)
            ),
        ),
        recipe=RecipeId(name="image-fashion", origin="builtin:benchmarks/image-fashion.yaml", sha256="cd" * 32),
        container=ContainerRun(
            name="mlorch-x",
            command=("python3", "-m", "mlorch_harness", "/results/settings.json"),
            user="1000:1000",
            network="none",
            read_only=True,
            cpus=(0, 1),
            memory=4 << 30,
            mounts=(
                MountFact(target="/models/resnet8-fashion", content="model:resnet8-fashion", read_only=True),
                MountFact(target="/results", content="results", read_only=False),
            ),
        ),
        settings={
            "loadgen.min_duration_ms": Setting(value=2000, source="command line"),
            "loadgen.target_qps": Setting(value=7000.0, source="calibrated"),
            "execution.batch": Setting(value=16, source="recipe"),
        },
        model=AssetId(
            kind="model",
            name="resnet8-fashion",
            title="ResNet-8, 77,562 parameters",
            trained_by="mlorch on dataset-fashion-mnist",
            files={"model.onnx": "ef" * 32},
            licences=(LicenceFact(source="model.onnx", spdx="Apache-2.0"),),
        ),
        dataset=AssetId(
            kind="dataset",
            name="fashion-mnist",
            title="Fashion-MNIST, all 10,000 test images",
            files={"images.npy": "0a" * 32, "labels.npy": "0b" * 32},
            licences=(LicenceFact(source="dataset-fashion-mnist", spdx="MIT", note="2017, Zalando SE"),),
        ),
        accuracy_goal=AccuracyGoal(metric="top1", unit="%", reference=91.06, factor=0.99)
        if mode == "accuracy"
        else None,
        engine={"name": "docker", "version": "26.1.5", "containerd_store": True},
        host={"cpu_model": "A processor", "sockets": 1, "online_cpus": [0, 1], "memory_total": 24 << 30},
    )


def settings_of(record: RunRecord) -> dict[str, object]:
    """The part of settings.json that verification reads."""
    return {
        "version": 1,
        "run_id": record.run_id,
        "benchmark": record.benchmark,
        "scenario": record.scenario,
        "mode": record.mode,
        "dataset": {"samples": SAMPLES},
        "loadgen": {"min_duration_ms": 2000, "target_qps": None},
        "execution": {"batch": 16},
    }


def add_run(store: Store, case: str, second: int = 0, *, old: bool = False) -> tuple[RunRecord, Path]:
    """A finished run of a recorded case in ``store``; an ``old`` one's record has no figures, as of mlorch 0.1."""
    record = record_of(case, second)
    folder = store.begin(record)
    for source in sorted((LOGS / case).iterdir()):
        shutil.copy(source, folder)
    (folder / "settings.json").write_text(json.dumps(settings_of(record)))
    (folder / "console.log").write_text("a line of the harness\n")
    accuracy = None
    if record.mode == "accuracy":
        share = round(100 * RIGHT / SAMPLES, 4)
        accuracy = {"metric": "top1", "value": share, "unit": "%", "correct": RIGHT, "samples": SAMPLES}
    effective = {"target_qps": {"value": 7000.0, "source": "calibrated"}}
    harness = {"version": 1, "status": "done", "error": None, "effective": effective, "accuracy": accuracy}
    (folder / "harness.json").write_text(json.dumps(harness))
    done = replace(
        record,
        status="done",
        measured=None if old else measure(record, folder, harness)[0],
        valid=CASES[case][2],
        exit_code=0,
        ended=Moment(utc="2026-11-24T01:42:00Z", unix_ns=record.started.unix_ns + 12_400_000_000),
        container_facts={"uid": 1000, "cpus": [0, 1], "no_new_privileges": True, "interfaces": ["lo"]},
        files={
            path.name: FileHash(sha256=sha256_file(path), size=path.stat().st_size)
            for path in sorted(folder.iterdir())
            if path.name != "run.json"
        },
    )
    store.finish(done)
    if old:
        document = json.loads((folder / "run.json").read_text())
        del document["measured"], document["left"]
        (folder / "run.json").write_text(json.dumps({**document, "seal": seal(document)}, indent=1) + "\n")
    return done, folder


def measure_again(folder: Path) -> None:
    """The record of a run whose logs a test has changed, as if they had been so when it ended."""
    record = from_json((folder / "run.json").read_text(), path="run.json")
    measured, _ = measure(record, folder, json.loads((folder / "harness.json").read_text()))
    (folder / "run.json").write_text(to_json(replace(record, measured=measured)))
