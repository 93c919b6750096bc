"""PyTorch for processors in its image, under LoadGen: asked for by `--set`, as `cpu` itself takes ONNX Runtime.

The layer's wheel (190 MB) is on PyTorch's own index only; pip on this host must know one that a build reaches.
"""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.large, pytest.mark.timeout(1800)]


def test_image_fashion_on_pytorch_has_the_models_accuracy(mlorch, results):
    line = ["run", "image-fashion", "--target", "cpu", "--set", "frameworks=[pytorch]", "-s", "Offline"]
    done = mlorch(*line, "--mode", "accuracy", "-o", str(results), "--json", timeout=1700)
    assert done.returncode == 0, done.stderr[-4000:]
    (folder,) = results.glob("*image-fashion-cpu-offline-accuracy*")
    record, harness = (json.loads((folder / name).read_text()) for name in ("run.json", "harness.json"))
    assert record["measured"]["accuracy"]["value"] == pytest.approx(0.9154, abs=0.0003)
    assert harness["backend"]["framework"] == "pytorch"
    assert harness["backend"]["devices"] == ["cpu"]
    assert harness["container"]["packages"]["torch"] == "2.13.0+cpu"
