"""Parts that tests of somebody else's program share: a program, the settings of a test, and what is planned of them."""

from __future__ import annotations

from orchestrator.definitions.kinds.external import Program
from orchestrator.facts.containers import ContainerSpec, Mount
from orchestrator.plan.run.external.values import ExternalTest

BASE = ContainerSpec(
    name="mlorch-r1",
    image="localhost/x:1",
    command=(),
    user="1000:1000",
    mounts=(
        Mount(source="/host/m", target="/models/m"),
        Mount(source="/host/results/r1", target="/results", read_only=False),
        Mount(source="/host/artifacts/i/s", target="/artifacts", read_only=False),
    ),
    tmpfs={"/scratch": "rw,size=1"},
    env={"HOME": "/scratch"},
    shm=64 * 2**20,
)
SETTINGS = {
    "min_duration_ms": 10_000,
    "max_duration_ms": 0,
    "min_query_count": 662,
    "target_qps": 1200.5,
    "expected_latency_ns": None,
    "target_latency_ns": 100_000_000,
    "target_latency_percentile": 0.99,
    "samples_per_query": None,
    "performance_samples": 20,
}
PROGRAM = {
    "source": "/opt/theirs",
    "parameters": {
        "threads": {"type": "int", "default": "{cpus}", "min": "1"},
        "batch": {"type": "int", "default": "8", "max": "64"},
        "precision": {"default": "fp32", "choices": ["fp32", "int8"]},
    },
    "words": {"scenario": {"of": "scenario", "values": {"Server": "server", "Offline": "offline"}}},
    "files": [
        {"path": "user.conf", "format": "user.conf"},
        {
            "path": "/opt/theirs/site.json",
            "format": "json",
            "values": {"n": "{cpus * 2}", "on": "true", "m": "x{cpus}"},
        },
    ],
    "writable": [
        {"path": "/opt/theirs/build", "kind": "artifacts", "reason": "compiled engines are kept"},
        {"path": "/opt/theirs/tmp", "kind": "memory", "exec": "true", "reason": "a JIT compiler loads what it made"},
    ],
    "steps": [
        {
            "name": "test",
            "role": "run",
            "argv": [
                "python3",
                "{source}/main.py",
                "--scenario={words.scenario}",
                {"when": {"mode": "accuracy"}, "words": ["--accuracy", "{results}/acc"]},
            ],
            "env": {"THREADS": "{param.threads}"},
            "timeout": "2h",
        },
        {"name": "score", "role": "accuracy", "when": {"mode": "accuracy"}, "argv": ["python3", "score.py"]},
    ],
    "accuracy": {"step": "score", "figures": [{"name": "top1", "pattern": "accuracy=([0-9.]+)%", "unit": "%"}]},
}


def external(program=None, *, scenario="Server", mode="performance", chosen=None, settings=None, **values):
    return ExternalTest(
        harness="theirs",
        program=Program.model_validate({**PROGRAM, **(program or {})}),
        container=BASE,
        scenario=scenario,
        mode=mode,
        values={
            "scenario": scenario,
            "mode": mode,
            "source": "/opt/theirs",
            "results": "/results",
            "artifacts": "/artifacts",
            "cpus": 4,
            "uid": "1000",
            "gid": "1000",
            **values,
        },
        settings={**SETTINGS, **(settings or {})},
        chosen=chosen or {},
        folder="/host/results/r1",
    )
