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
FOLDER = ROOT / "recipes" / "models" / "resnet8-fashion"
MODEL = FOLDER / "model.onnx"
MODELS = {"pytorch": FOLDER / "model.pt2", "jax": FOLDER / "model.stablehlo"}
PROVIDERS = {"onnxruntime": ["CPUExecutionProvider"], "openvino": ["CPU"], "pytorch": ["cpu"], "jax": ["cpu"]}
PACKAGES = {"pytorch": "torch"}
SAMPLES = 40


@pytest.fixture(scope="module", params=sorted(PROVIDERS))
def name(request) -> str:
    pytest.importorskip(PACKAGES.get(request.param, request.param))
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
        "providers": PROVIDERS.get(name, []),
        "model": {
            "path": str(MODELS.get(name, MODEL)),
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
    assert (one is other) == (name != "openvino")
    assert not instances.tune(Layout(2, 1, 4))
    assert (instances.get(1, 0), instances.get(1, 1)) == (one, other), "what was ready is kept"


def test_it_says_on_what_it_runs(name):
    facts = loaded(name, 1).describe()
    assert facts["framework"] == name
    assert facts.get("providers", facts.get("devices")) == PROVIDERS[name]


def test_a_tensor_that_the_model_does_not_have_is_told_with_what_it_has(name):
    model = document(name)["model"]
    with pytest.raises(ValueError, match="no input 'y'; it has x"):
        loaded(name, 1, model=model | {"inputs": [model["inputs"][0] | {"name": "y"}]})
    with pytest.raises(ValueError, match="no output 'y'; it has logits"):
        loaded(name, 1, model=model | {"outputs": ["y"]})


def test_a_device_that_is_not_there_is_an_error_and_no_other_is_used(name):
    for device in ("NPU", "cuda", "hpu", "xla", "tpu"):
        with pytest.raises(ValueError, match=r"(?i)(it has|available backends are) .*cpu"):
            loaded(name, 1, providers=[device])


@pytest.mark.parametrize("framework", ["openvino", "pytorch", "jax"])
def test_one_device_is_taken_and_not_several(framework):
    pytest.importorskip(PACKAGES.get(framework, framework))
    for providers in ([], ["CPU", "GPU"]):
        with pytest.raises(ValueError, match=r"one (device|platform)"):
            loaded(framework, 1, providers=providers)


def test_each_calling_thread_of_pytorch_has_the_threads_of_its_copy_and_no_more(pictures):
    """Its number of threads belongs to the calling thread, so a copy says it in each: else two copies would mix."""
    torch = pytest.importorskip("torch")
    found: dict[int, int] = {}
    done, counted = threading.Barrier(4), threading.Barrier(4)

    def work(threads: int) -> None:
        model = loaded("pytorch", threads)
        for _ in range(5):
            model.predict([pictures])
        found[threads] = torch.get_num_threads()
        done.wait(60)
        counted.wait(60)

    loaded("pytorch", 1).predict([pictures])  # what the first one starts is there
    before = len(list(Path("/proc/self/task").iterdir()))
    callers = [threading.Thread(target=work, args=(threads,)) for threads in (1, 3, 2)]
    for each in callers:
        each.start()
    done.wait(60)
    helpers = len(list(Path("/proc/self/task").iterdir())) - before - len(callers)
    counted.wait(60)
    for each in callers:
        each.join()
    assert found == {1: 1, 2: 2, 3: 3}
    assert helpers == 0 + 1 + 2


def test_an_exported_program_that_holds_code_is_an_error_and_the_code_does_not_run(tmp_path):
    """An archive's sample inputs are a pickle; what PyTorch does with one that is no plain data is to run it."""
    pytest.importorskip("torch")
    import pickle
    import zipfile

    class Code:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    bad = tmp_path / "model.pt2"
    with zipfile.ZipFile(MODELS["pytorch"]) as whole, zipfile.ZipFile(bad, "w") as changed:
        for name in whole.namelist():
            changed.writestr(name, pickle.dumps(Code()) if "sample_inputs" in name else whole.read(name))
    model = document("pytorch")["model"] | {"path": str(bad)}
    with pytest.raises(Exception, match=r"(?i)weights.only|pickle"):
        loaded("pytorch", 1, model=model)
    assert not (tmp_path / "ran").exists()


def test_batches_of_few_sizes_are_made_for_devices_that_compile_each(pictures):
    from orchestrator.harness.backends.shapes import fitted

    for size, padded in ((1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (40, 64)):
        (found,) = fitted([pictures[:size]])
        assert len(found) == padded
        assert (found[:size] == pictures[:size]).all()
        assert (found[size:] == pictures[size - 1]).all()


def test_a_card_of_qualcomm_gets_a_program_for_each_size_and_answers_of_the_samples_only(monkeypatch, pictures):
    import onnxruntime

    whole, provider, written = onnxruntime.InferenceSession, "QAicExecutionProvider", []

    class OnTheCard:
        """What is known of the provider: it reads a file of model settings, and has batches of one size."""

        def __init__(self, path, providers, provider_options):
            text = Path(provider_options[0]["config"]).read_text()
            assert f'model-path: "{path}"' in text
            self.size = int(text.rpartition("n,")[2].strip().strip('"'))
            self.session = whole(path, providers=["CPUExecutionProvider"])
            written.append(self.size)

        def get_providers(self):
            return [provider, "CPUExecutionProvider"]

        def run(self, outputs, inputs):
            assert len(inputs["x"]) == self.size
            return self.session.run(outputs, inputs)

    def session(path, providers, provider_options=None):
        if providers == [provider]:
            return OnTheCard(path, providers, provider_options)
        return whole(path, providers=providers)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [provider, "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    model = backends.create("qaic")
    model.load(parse(document("qaic", providers=[provider])), 1)
    expected = reference(pictures)
    for size in (1, 3, 4, 7, 3):
        np.testing.assert_allclose(model.predict([pictures[:size]])[0], expected[:size], rtol=1e-3, atol=1e-3)
    assert written == [1, 4, 8]
    with pytest.raises(ValueError, match="qaic needs QAicExecutionProvider"):
        backends.create("qaic").load(parse(document("qaic", providers=["CPUExecutionProvider"])), 1)


def test_openvino_keeps_what_it_compiled_for_the_next_run(monkeypatch, tmp_path):
    pytest.importorskip("openvino")
    from orchestrator.harness.backends import openvino

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
@pytest.mark.parametrize("framework", ["openvino", "pytorch", "jax"])
@pytest.mark.parametrize("mode", ["performance", "accuracy"])
def test_it_runs_under_loadgen_with_all_that_is_measured_before(tmp_path, pictures, mode, framework):
    package = PACKAGES.get(framework, framework)
    for needed in (package, "mlperf_loadgen"):
        pytest.importorskip(needed)
    np.save(tmp_path / "images.npy", pictures)
    np.save(tmp_path / "labels.npy", reference(pictures).argmax(axis=1).astype(np.int32))
    (tmp_path / "settings.json").write_text(json.dumps(document(framework, tmp_path, mode=mode)))
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
    assert record["backend"]["devices"] == PROVIDERS[framework]
    assert package in record["container"]["packages"]
    if mode == "accuracy":
        assert record["accuracy"]["correct"] == SAMPLES
    else:
        assert record["effective"]["batch"]["source"] == "calibrated"
