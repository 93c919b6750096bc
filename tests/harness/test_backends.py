"""The backends with the real frameworks: the same answers, from several threads, and never another device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("onnxruntime")

from orchestrator.harness import backends  # noqa: E402
from orchestrator.harness.instances import Instances, Layout  # noqa: E402
from orchestrator.harness.settings import parse  # noqa: E402

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "recipes" / "models" / "resnet8-fashion" / "model.onnx"
PROVIDERS = {"onnxruntime": ["CPUExecutionProvider"], "openvino": ["CPU"]}
SAMPLES = 40


@pytest.fixture(scope="module", params=sorted(PROVIDERS))
def name(request) -> str:
    if request.param == "openvino":
        pytest.importorskip("openvino")
    return request.param


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (SAMPLES, 1, 28, 28), np.uint8)


def document(name: str, folder: Path = Path("/nowhere"), **changes: object) -> dict:
    unset = dict.fromkeys(("expected_latency_ns", "target_latency_ns", "target_latency_percentile"))
    return {
        "version": 2,
        "run_id": "test",
        "benchmark": "image-fashion",
        "task": "image-classification",
        "scenario": "Offline",
        "mode": "performance",
        "backend": name,
        "providers": PROVIDERS[name],
        "model": {
            "path": str(MODEL),
            "inputs": [{"name": "x", "dtype": "uint8", "scale": 1.0, "array": "inputs", "varies": False}],
            "outputs": ["logits"],
        },
        "dataset": {
            "arrays": {"inputs": str(folder / "images.npy"), "labels": str(folder / "labels.npy")},
            "samples": SAMPLES,
            "performance_samples": SAMPLES,
        },
        "loadgen": {
            "min_duration_ms": 300,
            "max_duration_ms": 0,
            "min_query_count": 10,
            "target_qps": 1000.0,
            "samples_per_query": None,
            **unset,
        },
        "execution": {
            "cpus": sorted(os.sched_getaffinity(0))[:2],
            "instances": None,
            "threads": None,
            "batch": None,
            "batch_delay_us": 0,
        },
        "accuracy": {"metric": "top1", "unit": "%"},
        **changes,
    }


def loaded(name: str, threads: int, **changes: object):
    model = backends.create(name)
    model.load(parse(document(name, **changes)), threads)
    return model


def reference(pictures):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"x": pictures})[0]


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_answers_are_those_of_the_model_for_every_batch(name, threads, tuned, pictures):
    model, expected = loaded(name, threads), reference(pictures)
    if tuned:
        assert model.tune(7) == (name == "openvino")
        assert not model.tune(7), "there is nothing more to do"
    for batch in (1, 7, SAMPLES):
        np.testing.assert_allclose(model.predict([pictures[:batch]])[0], expected[:batch], rtol=1e-3, atol=1e-3)


def test_one_copy_answers_several_threads_at_once(name, pictures):
    model, expected = loaded(name, 1), reference(pictures).argmax(axis=1)
    wrong: list[int] = []

    def work(start: int) -> None:
        for at in [*range(start, SAMPLES), *range(start)] * 5:
            if model.predict([pictures[at : at + 1]])[0].argmax() != expected[at]:
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, SAMPLES, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_tuned_layout_has_the_copies_that_it_needs_and_no_others(name):
    settings = parse(document(name))
    if len(settings.execution.cpus) < 2:
        pytest.skip("needs two processors")
    instances = Instances(settings)
    for threads, at in ((1, 0), (1, 1), (2, 0)):
        instances.get(threads, at)
    assert instances.tune(Layout(2, 1, 4)) == (name == "openvino")
    one, other = instances.get(1, 0), instances.get(1, 1)
    assert (one is other) == (name == "onnxruntime")
    assert not instances.tune(Layout(2, 1, 4))
    assert (instances.get(1, 0), instances.get(1, 1)) == (one, other), "what was ready is kept"


def test_it_says_on_what_it_runs(name):
    facts = loaded(name, 1).describe()
    assert facts["framework"] == name
    assert facts.get("providers", facts.get("devices")) == PROVIDERS[name]


def test_a_tensor_that_the_model_does_not_have_is_told_with_what_it_has(name):
    model = document(name)["model"]
    with pytest.raises(ValueError, match="no input 'y'; it has x"):
        loaded(name, 1, model=model | {"input": model["input"] | {"name": "y"}})
    with pytest.raises(ValueError, match="no output 'y'; it has logits"):
        loaded(name, 1, model=model | {"output": {"name": "y"}})


def test_a_device_that_is_not_there_is_an_error_and_no_other_is_used(name):
    with pytest.raises(ValueError, match=r"it has .*CPU"):
        loaded(name, 1, providers=["NPU"])


def test_openvino_takes_one_device():
    pytest.importorskip("openvino")
    for providers in ([], ["CPU", "GPU"]):
        with pytest.raises(ValueError, match="one device"):
            loaded("openvino", 1, providers=providers)


def test_openvino_keeps_what_it_compiled_for_the_next_run(monkeypatch, tmp_path):
    pytest.importorskip("openvino")
    from orchestrator.harness import openvino

    monkeypatch.setattr(openvino, "CACHE", str(tmp_path / "openvino"))
    loaded("openvino", 1)
    kept = {path.name for path in (tmp_path / "openvino").iterdir()}
    assert kept
    loaded("openvino", 1)
    assert {path.name for path in (tmp_path / "openvino").iterdir()} == kept


def test_onnxruntime_that_falls_back_to_the_processor_is_an_error(monkeypatch):
    """As on a host where CUDA's provider is compiled in and the driver is missing: a warning, and a slow session."""
    import onnxruntime

    whole = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda path, options, providers: whole(path, options, ["CPUExecutionProvider"])
    )
    with pytest.raises(ValueError, match="could not start CUDAExecutionProvider and would run on CPUExecutionProvider"):
        loaded("onnxruntime", 1, providers=["CUDAExecutionProvider"])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["performance", "accuracy"])
def test_openvino_under_loadgen_with_all_that_is_measured_before(tmp_path, pictures, mode):
    for needed in ("openvino", "mlperf_loadgen"):
        pytest.importorskip(needed)
    np.save(tmp_path / "images.npy", pictures)
    np.save(tmp_path / "labels.npy", reference(pictures).argmax(axis=1).astype(np.int32))
    (tmp_path / "settings.json").write_text(json.dumps(document("openvino", tmp_path, mode=mode)))
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.harness", str(tmp_path / "settings.json")],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    record = json.loads((tmp_path / "harness.json").read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    assert record["backend"]["devices"] == ["CPU"]
    assert "openvino" in record["container"]["packages"]
    if mode == "accuracy":
        assert record["accuracy"]["correct"] == SAMPLES
    else:
        assert record["effective"]["batch"]["source"] == "calibrated"
