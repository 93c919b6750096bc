"""Settings of a test of a model that generates, as `settings.json` has them; prompts of 1 to ``longest`` tokens."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


def generation_settings(folder: Path, prompts: np.ndarray, *, limit: int) -> dict:
    """The settings of an Offline performance test; ``prompts`` int32 [samples, longest] are saved in ``folder``.

    Each test then sets what it is about: backend, LoadGen's settings, execution.
    """
    samples, longest = prompts.shape
    arrays = {"inputs": prompts, "lengths": np.array([1 + index % longest for index in range(samples)], np.int32)}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return {
        "version": 2,
        "run_id": "test",
        "benchmark": "llm-chat",
        "task": "text-generation",
        "scenario": "Offline",
        "mode": "performance",
        "backend": "",
        "providers": [],
        "model": {
            "path": "/nowhere",
            "inputs": [{"name": "tokens", "dtype": "int32", "scale": 1.0, "array": "inputs", "varies": True}],
            "outputs": ["tokens"],
        },
        "dataset": {
            "arrays": {name: str(folder / f"{name}.npy") for name in arrays},
            "samples": samples,
            "performance_samples": samples,
        },
        "loadgen": {
            "min_duration_ms": 300,
            "max_duration_ms": 0,
            "min_query_count": 64,
            "target_qps": None,
            "expected_latency_ns": None,
            "target_latency_ns": None,
            "target_latency_percentile": 0.9,
            "samples_per_query": None,
            "ttft_latency_ns": 1_000_000_000,
            "tpot_latency_ns": 500_000_000,
        },
        "execution": {
            "cpus": sorted(os.sched_getaffinity(0))[:1],
            "instances": None,
            "threads": None,
            "batch": None,
            "batch_delay_us": None,
        },
        "accuracy": {"metric": "rouge1", "unit": ""},
        "generation": {"limit": limit},
    }
