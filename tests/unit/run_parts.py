"""Parts that the tests of planning and running share: a host, a workload, a site."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.definitions.kinds.assets import Dataset, Model
from orchestrator.definitions.kinds.benchmarks import Benchmark
from orchestrator.definitions.kinds.harnesses import Harness
from orchestrator.definitions.kinds.targets import Target
from orchestrator.facts.host import HostFacts, NumaNode
from orchestrator.plan.run.user import RunUser
from orchestrator.plan.run.workload import RunEnvironment, Workload

GIB = 2**30
SHA = "0" * 64


def a_host(**changes: object) -> HostFacts:
    """Two cores with two threads each, numbered as Intel does it (siblings are 0,2 and 1,3)."""
    host = HostFacts(
        system_id="abcd", hostname="h", kernel="6", distribution="d", machine="x86_64", cpu_model="m", sockets=1,
        cores=((0, 2), (1, 3)), online_cpus=(0, 1, 2, 3), allowed_cpus=(0, 1, 2, 3), smt=True,
        nodes=(NumaNode(node=0, cpus=(0, 1, 2, 3), memory=16 * GIB),), memory_total=16 * GIB,
        memory_available=15 * GIB, memory_limit=None, swap_total=0, hugepages=0, hugepage_size=0, governor="",
        turbo=None, virtualisation="", cgroup="v2", load=(0.0, 0.0, 0.0), boot_id="b",
    )  # fmt: skip
    return replace(host, **changes)  # type: ignore[arg-type]


def a_target(**changes: object) -> Target:
    fields = {
        "kind": "target", "name": "cpu", "title": "Processors", "platforms": ["linux/amd64"], "base": "base",
        "runtime": "cpu", "frameworks": {"onnxruntime": "onnxruntime-cpu"},
        "providers": {"onnxruntime": ["CPUExecutionProvider"]},
    }  # fmt: skip
    return Target.model_validate(fields | changes)


def a_benchmark(**changes: object) -> Benchmark:
    fields = {
        "kind": "benchmark", "name": "image-fashion", "title": "Fashion", "task": "image-classification",
        "layer": "benchmark", "model": "resnet8", "dataset": "fashion", "harness": "h",
        "frameworks": ["onnxruntime"], "performance_samples": 10000,
        "scenarios": {"Offline": {}, "SingleStream": {}, "MultiStream": {"samples_per_query": 8},
                      "Server": {"target_latency_ns": 50_000_000}},
        "input": {"name": "x", "scale": 0.5}, "output": {"name": "logits"},
        "accuracy": {"metric": "top1", "reference": 91.0, "factor": 0.99},
    }  # fmt: skip
    return Benchmark.model_validate(fields | changes)


def a_workload(**changes: object) -> Workload:
    source = {"kind": "recipe", "path": "m", "sha256": SHA, "licence": {"spdx": "MIT"}}
    model = {
        "kind": "model", "name": "resnet8", "title": "m", "format": "onnx", "parameters": 1, "trained_by": "us",
        "sources": [source], "outputs": [{"file": "LICENSE", "sha256": SHA}, {"file": "model.onnx", "sha256": SHA}],
    }  # fmt: skip
    dataset = {
        "kind": "dataset", "name": "fashion", "title": "d", "samples": 10000, "inputs": "images.npy",
        "labels": "labels.npy", "sources": [source], "outputs": [{"file": "images.npy", "sha256": SHA}],
    }  # fmt: skip
    harness = {
        "kind": "harness", "name": "h", "title": "h", "loadgen": "l", "deps": "d", "code": "c",
        "command": ["python3", "-m", "mlorch_harness"], "backends": {"onnxruntime": "onnxruntime"},
    }  # fmt: skip
    workload = Workload(
        benchmark=a_benchmark(), target=a_target(), model=Model.model_validate(model),
        dataset=Dataset.model_validate(dataset), harness=Harness.model_validate(harness), framework="onnxruntime",
        image="mlorch/image-fashion-cpu:0123", model_folder="/cache/model",
        dataset_folder="/cache/my data",
    )  # fmt: skip
    return replace(workload, **changes)  # type: ignore[arg-type]


def a_run_environment(**changes: object) -> RunEnvironment:
    environment = RunEnvironment(
        host=a_host(), results="/home/u/results", artifacts="/cache/artifacts",
        user=RunUser(inside="1000:1000", owner="1000:1000"), owner="1:2:b:3",
    )  # fmt: skip
    return replace(environment, **changes)  # type: ignore[arg-type]
