"""The harness without containers against the bare framework on the same device: a lent GPU, a cloud notebook.

`harness_efficiency.py` with the Python, the framework and LoadGen's wheel that are there, for each framework that has
the device. Networks are those of `networks.py`, with weights from a seed, so that nothing needs to be fetched: what
they have learnt makes no difference to their speed.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import Bar, NotHereError, note
from harness import loop_bar

SECONDS, ROUNDS = 3.0, 6
SAMPLES = 64
SCENARIOS = ("Offline", "SingleStream")
NETWORKS = ("EfficientNet-Lite0", "ResNet-50")
HERE = Path(__file__).parent

ONNXRUNTIME = """
import onnxruntime
found = onnxruntime.get_available_providers()
assert {device!r} in found, f"onnxruntime has {{', '.join(found)}}"
"""
TORCH = """
import torch
torch.empty(1, device={device!r})
"""
NEEDED = "import mlperf_loadgen, numpy, onnx\n"


@dataclass(frozen=True, kw_only=True)
class Framework:
    """A framework on a target's device: what the harness calls both, how the device is asked for, the model's form."""

    name: str
    device: str
    probe: str
    file: str


TARGETS = {
    "cpu": (
        Framework(name="onnxruntime", device="CPUExecutionProvider", probe=ONNXRUNTIME, file="model.onnx"),
        Framework(name="pytorch", device="cpu", probe=TORCH, file="model.pt2"),
    ),
    "cuda": (
        Framework(name="onnxruntime", device="CUDAExecutionProvider", probe=ONNXRUNTIME, file="model.onnx"),
        Framework(name="pytorch", device="cuda", probe=TORCH, file="model.pt2"),
    ),
}


def measure(target: str = "cpu") -> list[Bar]:
    """Two rows for each framework that is there and each network; raises `NotHereError` where none is."""
    if target not in TARGETS:
        raise NotHereError(f"--on-host knows {', '.join(TARGETS)}, not {target}")
    python, frameworks = _usable(target)
    bars = []
    with tempfile.TemporaryDirectory(prefix="mlorch-bench-") as folder:
        _make(python, Path(folder), frameworks)
        for framework in frameworks:
            for network in NETWORKS:
                for scenario in SCENARIOS:
                    bars.append(_row(python, framework, network, scenario, Path(folder)))
    return bars


def _usable(target: str) -> tuple[str, list[Framework]]:
    """A Python with LoadGen and a framework that has the device: the one that runs this, else the `python3` of PATH."""
    said: list[str] = []
    for python in dict.fromkeys(filter(None, (sys.executable, shutil.which("python3")))):
        found = []
        for framework in TARGETS[target]:
            why = _lacks(python, framework)
            if why is None:
                found.append(framework)
            else:
                said.append(f"  {python}, {framework.name}: {why}")
        if found:
            note(f"on the host with {python}: {', '.join(each.name for each in found)}")
            return python, found
    raise NotHereError(
        f"nothing here runs on {target}: its device and driver, LoadGen (mlcommons-loadgen), numpy, onnx and "
        "a framework are needed (docs/measure-on-a-bare-gpu.md)\n" + "\n".join(said)
    )


def _lacks(python: str, framework: Framework) -> str | None:
    """Why this Python cannot measure a framework; None where it can."""
    code = framework.probe.format(device=framework.device) + NEEDED
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it ended"])[-1]


def _make(python: str, folder: Path, frameworks: list[Framework]) -> None:
    """The networks in each form that is needed, and pictures of noise."""
    forms = sorted({framework.file for framework in frameworks})
    for network in NETWORKS:
        note(f"{network} from a seed")
        (folder / network).mkdir()
        command = [python, str(HERE / "on_host.py"), "--make", network, str(folder / network), *forms]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{network} could not be made:\n{done.stderr[-2000:]}")


def make(network: str, folder: Path, forms: list[str]) -> None:
    """In the Python that measures."""
    import networks
    import numpy as np
    import onnx

    model = networks.made(network)
    if "model.onnx" in forms:
        onnx.save(model, folder / "model.onnx")
    if "model.pt2" in forms:
        networks.exported(model, folder / "model.pt2")
    shape = (SAMPLES, networks.SIZE, networks.SIZE, 3)
    np.save(folder / "images.npy", np.random.default_rng(networks.SEED).integers(0, 256, shape, np.uint8))
    np.save(folder / "labels.npy", np.zeros(SAMPLES, np.int64))


def _row(python: str, framework: Framework, network: str, scenario: str, folder: Path) -> Bar:
    note(f"{network} {scenario}: {framework.name} on {framework.device}, the harness and a bare loop")
    path = folder / "settings.json"
    path.write_text(json.dumps(settings_for(framework, network, scenario, folder / network)), encoding="utf-8")
    command = [python, str(HERE / "harness_efficiency.py"), str(path), "--json"]
    command += ["--seconds", str(SECONDS), "--rounds", str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        (row,) = json.loads(done.stdout)["rows"]
    except ValueError:
        raise RuntimeError(f"harness_efficiency.py ended with {done.returncode}:\n{done.stderr[-2000:]}") from None
    bar = loop_bar(row, framework.name, framework.device, f"{network} on the host,")
    return Bar(what=bar.what, value=bar.value, bar=bar.bar, at_least=bar.at_least, detail=f"{bar.detail}; {_where()}")


@functools.cache
def _where() -> str:
    """The card that the driver names first, and whether weights were learnt."""
    card = shutil.which("nvidia-smi")
    named = ""
    if card is not None:
        asked = [card, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines() if done.returncode == 0 else []
        named = f"{lines[0].strip()}; " if lines else ""
    return f"{named}weights from a seed"


def settings_for(framework: Framework, network: str, scenario: str, folder: Path) -> dict:
    """The settings.json of a performance test, all that can be measured left open."""
    unset = ("target_qps", "expected_latency_ns", "target_latency_ns", "target_latency_percentile", "samples_per_query")
    return {
        "version": 2,
        "run_id": "on-host",
        "benchmark": network,
        "task": "image-classification",
        "scenario": scenario,
        "mode": "performance",
        "backend": framework.name,
        "providers": [framework.device],
        "model": {
            "path": str(folder / framework.file),
            "inputs": [{"name": "image", "array": "inputs", "dtype": "uint8", "scale": 1.0, "varies": False}],
            "outputs": ["logits"],
        },
        "dataset": {
            "arrays": {"inputs": str(folder / "images.npy"), "labels": str(folder / "labels.npy")},
            "samples": SAMPLES,
            "performance_samples": SAMPLES,
        },
        "loadgen": {"min_duration_ms": 1000, "max_duration_ms": 0, "min_query_count": 100, **dict.fromkeys(unset)},
        "execution": {
            "cpus": sorted(os.sched_getaffinity(0)),
            **dict.fromkeys(("instances", "threads", "batch", "batch_delay_us")),
        },
        "accuracy": {"metric": "top1", "unit": "%"},
    }


if __name__ == "__main__":
    _, _, name, place, *wanted = sys.argv
    make(name, Path(place), wanted)
