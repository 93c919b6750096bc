"""Parts that tests of the harness's work share: settings, samples, and a model whose answer is the sample's index."""

from __future__ import annotations

import os
import time

import pytest

np = pytest.importorskip("numpy")

from orchestrator.harness.samples import Samples  # noqa: E402
from orchestrator.harness.settings import parse  # noqa: E402
from orchestrator.harness.work import Work  # noqa: E402

COUNT = 12


def settings_in(tmp_path):
    np.save(tmp_path / "images.npy", np.arange(COUNT * 3, dtype=np.uint8).reshape(COUNT, 3))
    np.save(tmp_path / "labels.npy", np.arange(COUNT, dtype=np.int32))
    unset = ("target_qps", "expected_latency_ns", "target_latency_ns", "target_latency_percentile")
    return parse(
        {
            "version": 2,
            "run_id": "r",
            "benchmark": "b",
            "task": "image-classification",
            "scenario": "Offline",
            "mode": "accuracy",
            "backend": "onnxruntime",
            "providers": [],
            "model": {
                "path": "m",
                "inputs": [{"name": "x", "dtype": "float32", "scale": 0.5, "array": "inputs", "varies": False}],
                "outputs": ["y"],
            },
            "dataset": {
                "arrays": {"inputs": str(tmp_path / "images.npy"), "labels": str(tmp_path / "labels.npy")},
                "samples": COUNT,
                "performance_samples": COUNT,
            },
            "loadgen": {
                "min_duration_ms": 1,
                "max_duration_ms": 0,
                "min_query_count": 1,
                "samples_per_query": None,
                **dict.fromkeys(unset),
            },
            "execution": {"cpus": [0], "instances": None, "threads": None, "batch": None, "batch_delay_us": None},
            "accuracy": {"metric": "top1", "unit": "%"},
        }
    )


def loaded(settings):
    found = Samples(settings)
    found.load(range(COUNT))
    return found


class EchoInstances:
    """A model whose answer is the sample's index; keeps the batches that it saw."""

    def __init__(self, fail_on: int = -1, wait: float = 0.0) -> None:
        self.seen: list[list[int]] = []
        self._fail_on, self._wait = fail_on, wait

    def group(self, threads: int, instance: int):
        return sorted(os.sched_getaffinity(0))

    def get(self, threads: int, instance: int):
        return self

    def predict(self, batch):
        indexes = [round(value / 1.5) for value in batch[0][:, 0].tolist()]
        self.seen.append(indexes)
        time.sleep(self._wait)
        if self._fail_on in indexes:
            raise RuntimeError("the model broke")
        return [np.eye(COUNT, dtype=np.float32)[indexes]]


class Classes:
    """The task: the largest logit."""

    answer = np.dtype("<i8")

    def answers(self, outputs, indexes):
        return outputs[0].argmax(axis=1)


def work(model, samples) -> Work:
    return Work(model, samples, Classes())
