"""Object detection under real LoadGen with the shipped detector: the boxes of known scenes, and of none at all.

Needs numpy, onnxruntime and mlperf_loadgen beside the tests; where they are absent, the tests of the images in
tests/engine cover the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("mlperf_loadgen")

from orchestrator.harness import backends  # noqa: E402
from orchestrator.harness.settings import parse  # noqa: E402
from orchestrator.harness.tasks import create  # noqa: E402
from orchestrator.harness.tasks.log import logged  # noqa: E402
from orchestrator.harness.tasks.object_detection import ROW  # noqa: E402

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "recipes" / "models" / "ssd-fashion" / "model.onnx"
PROVIDERS = {"onnxruntime": ["CPUExecutionProvider"], "openvino": ["CPU"]}
SAMPLES, SIDE = 24, 128
pytestmark = pytest.mark.slow


def scenes():
    """Every other one is plain grey, which holds nothing; the others have a bright pair of trousers."""
    found = np.full((SAMPLES, 1, SIDE, SIDE), 90, np.uint8)
    for number in range(0, SAMPLES, 2):
        top, left = 20 + number, 30 + 2 * number
        found[number, 0, top : top + 12, left : left + 22] = 200
        found[number, 0, top + 12 : top + 56, left : left + 9] = 200
        found[number, 0, top + 12 : top + 56, left + 13 : left + 22] = 200
    return found


@pytest.fixture
def document(tmp_path) -> dict:
    np.save(tmp_path / "images.npy", scenes())
    for name in ("boxes", "classes", "counts"):
        np.save(tmp_path / f"{name}.npy", np.zeros((SAMPLES, 1), np.int32))
    arrays = {name: str(tmp_path / f"{name}.npy") for name in ("boxes", "classes", "counts")}
    return {
        "version": 2,
        "run_id": "test",
        "benchmark": "detect",
        "task": "object-detection",
        "scenario": "Offline",
        "mode": "accuracy",
        "backend": "onnxruntime",
        "providers": PROVIDERS["onnxruntime"],
        "model": {
            "path": str(MODEL),
            "inputs": [{"name": "x", "dtype": "uint8", "scale": 1.0, "array": "inputs", "varies": False}],
            "outputs": ["detections"],
        },
        "dataset": {
            "arrays": {"inputs": str(tmp_path / "images.npy"), **arrays},
            "samples": SAMPLES,
            "performance_samples": SAMPLES,
        },
        "loadgen": {
            "min_duration_ms": 300,
            "max_duration_ms": 0,
            "min_query_count": 10,
            "target_qps": 2000.0,
            "expected_latency_ns": 2_000_000,
            "target_latency_ns": 500_000_000,
            "target_latency_percentile": None,
            "samples_per_query": 8,
        },
        "execution": {
            "cpus": sorted(os.sched_getaffinity(0))[:1],
            "instances": 1,
            "threads": 1,
            "batch": 4,
            "batch_delay_us": 0,
        },
        "accuracy": {"metric": "mAP", "unit": "%"},
    }


def run(document: dict, folder: Path) -> tuple[int, str]:
    pytest.importorskip(document["backend"])
    (folder / "settings.json").write_text(json.dumps(document))
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.harness", str(folder / "settings.json")],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("backend", sorted(PROVIDERS))
@pytest.mark.parametrize("scenario", ["Offline", "SingleStream", "MultiStream", "Server"])
def test_loadgen_takes_the_boxes_of_every_scene_and_none_where_nothing_is(document, tmp_path, backend, scenario):
    document.update(scenario=scenario, backend=backend, providers=PROVIDERS[backend])
    code, said = run(document, tmp_path)
    assert code == 0, said
    answers = logged(tmp_path / "mlperf_log_accuracy.json", SAMPLES)
    for number, data in enumerate(answers):
        if number % 2:
            assert data == b"", "a plain scene has no boxes"
            continue
        rows = np.frombuffer(data, ROW)
        assert len(rows)
        assert (rows[:, 0] == number).all()
        top, left = 20 + number, 30 + 2 * number
        true = np.array([top, left, top + 56, left + 22]) / SIDE
        assert np.abs(rows[0, 1:5] - true).max() < 0.05, "the best box is the item's"


def test_both_frameworks_find_the_same_boxes(document):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    found = []
    for name in sorted(PROVIDERS):
        settings = parse({**document, "backend": name, "providers": PROVIDERS[name]})
        backend = backends.create(name)
        backend.load(settings, 1)
        answers = create(settings).answers(backend.predict([scenes()]), range(SAMPLES))
        found.append([np.frombuffer(each, ROW) for each in answers])
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape
        assert one == pytest.approx(other, abs=1e-5)


def test_the_performance_of_scenes_with_and_without_boxes_is_measured(document, tmp_path):
    document.update(mode="performance")
    code, said = run(document, tmp_path)
    assert code == 0, said
    assert "Result is : VALID" in (tmp_path / "mlperf_log_summary.txt").read_text()
