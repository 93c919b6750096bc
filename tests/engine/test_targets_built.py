"""Targets beside cpu that are really built here: openvino runs; cuda is built, and a host without a GPU is told so."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from orchestrator.host.nodes import device_nodes

pytestmark = [pytest.mark.engine, pytest.mark.slow]

REFERENCE = 0.9154
"""The accuracy of image-fashion on cpu, over all 10,000 samples."""
LIBRARIES = "/usr/local/lib/python3.11/dist-packages/onnxruntime/capi/libonnxruntime_providers_cuda.so"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


def test_openvino_reaches_the_accuracy_of_cpu(mlorch, results):
    done = mlorch(
        *("run", "image-fashion", "--target", "openvino", "-s", "Offline", "-m", "accuracy", "-o", str(results)),
        *("--json",),
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (result,) = json.loads(done.stdout)["results"]
    assert abs(result["metrics"]["accuracy"]["value"] - REFERENCE) <= 0.003
    harness = json.loads((Path(result["record"]).parent / "harness.json").read_text())
    assert harness["backend"] == {"framework": "openvino", "devices": ["CPU"], "precision": "f32"}
    assert "onnxruntime" not in harness["container"]["packages"]
    layers = {
        layer["name"]: layer["level"] for layer in json.loads(Path(result["record"]).read_text())["image"]["layers"]
    }
    assert layers["openvino"] == "framework"


def test_cuda_shares_everything_below_its_libraries_with_cpu(mlorch):
    """Planned only: what is built is two gigabytes, see the large tests."""
    plans = {}
    for target in ("cpu", "cuda"):
        done = mlorch("plan", "--target", target, "--benchmark", "image-fashion", "--json")
        assert done.returncode == 0, done.stderr
        plans[target] = {layer["name"]: layer["content_id"] for layer in json.loads(done.stdout)["layers"]}
    cpu, cuda = plans["cpu"], plans["cuda"]
    assert [name for name in cuda if cuda[name] == cpu.get(name)] == ["base-bookworm", "runtime-cpu"]
    assert list(cuda)[2:4] == ["runtime-cuda", "onnxruntime-cuda"]


@pytest.mark.skipif(bool(device_nodes("/dev/nvidia[0-9]*")), reason="this host has an NVIDIA GPU")
def test_cuda_without_a_gpu_stops_before_anything_is_built_or_started(mlorch, results):
    before = set(results.iterdir())
    done = mlorch("run", "image-fashion", "--target", "cuda", "-o", str(results), "--json", timeout=60)
    error = json.loads(done.stdout)["error"]
    assert done.returncode == error["exit_code"] == 4
    assert error["slug"] == "device-missing"
    assert "cuda" in error["message"] or "nvidia" in error["message"]
    assert error["hint"]
    assert set(results.iterdir()) == before, "no run was begun"
    assert "building" not in done.stderr


# -- the images of cuda: 2 GB of wheels and 4 GB in the engine, `make test ARGS='-m large'` ---


@pytest.fixture(scope="module")
def inside(mlorch):
    """Runs a command in the image that mlorch builds for cuda."""
    built = mlorch("build", "--target", "cuda", "--benchmark", "image-fashion", "--json", timeout=3000)
    assert built.returncode == 0, built.stderr[-4000:]
    (image,) = json.loads(built.stdout)["images"]

    def run(*command: str, more: tuple[str, ...] = ()):
        line = ["docker", "run", "--rm", "--network", "none", *more, image, *command]
        return subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)

    return run


@pytest.mark.large
@pytest.mark.timeout(3600)
def test_the_provider_is_there(inside):
    done = inside("python3", "-c", "import onnxruntime; print(onnxruntime.get_available_providers())")
    assert "CUDAExecutionProvider" in done.stdout, done.stderr


@pytest.mark.large
@pytest.mark.timeout(3600)
def test_the_loader_finds_all_but_the_driver(inside):
    done = inside("sh", "-c", f"LD_TRACE_LOADED_OBJECTS=1 /lib64/ld-linux-x86-64.so.2 {LIBRARIES}")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [words[0] for words in lines if words[-2:] == ["not", "found"]] == ["libcuda.so.1"], done.stdout
    assert {"libcudart.so.13", "libcublasLt.so.13", "libcurand.so.10"} <= {words[0] for words in lines}


@pytest.mark.large
@pytest.mark.timeout(3600)
def test_the_harness_without_a_gpu_fails_and_gives_no_number(inside, tmp_path):
    """The processor would do the work, slowly, and onnxruntime would only warn."""
    model = Path(__file__).parents[2] / "recipes" / "models" / "resnet8-fashion"
    program = (
        "from mlorch_harness import onnx, settings\n"
        "from types import SimpleNamespace as N\n"
        "model = N(path='/m/model.onnx', input=N(name='x'), output=N(name='logits'))\n"
        "onnx.OnnxBackend().load(N(providers=('CUDAExecutionProvider',), model=model), 1)\n"
    )
    done = inside("python3", "-c", program, more=("--volume", f"{model}:/m:ro"))
    assert done.returncode == 1
    assert "could not start CUDAExecutionProvider and would run on CPUExecutionProvider" in done.stderr
    assert "libcuda.so.1" in done.stderr
