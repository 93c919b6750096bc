"""The container that counts an accuracy after the test, where the harness does not do it itself. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.facts.containers import ARTIFACTS, RESULTS
from orchestrator.facts.tasks import TASKS
from orchestrator.plan.run.container import container_of
from orchestrator.plan.run.devices import Devices

if TYPE_CHECKING:
    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.definitions.kinds.harnesses import Harness
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.plan.run.cells import Cell
    from orchestrator.plan.run.workload import RunEnvironment, Workload

LAYER = "accuracy"
"""The layer of the side image that counts accuracies."""
COMMAND = ("python3", "-m", "mlorch_harness.metrics", f"{RESULTS}/settings.json")


def is_scored(benchmark: Benchmark, harness: Harness) -> bool:
    """Whether the accuracy of a benchmark is counted by a container of its own."""
    task = TASKS.get(benchmark.task)
    return harness.program is None and task is not None and task.scored


def scoring_container(
    workload: Workload, environment: RunEnvironment, cell: Cell, identifier: str, cpus: tuple[int, ...]
) -> ContainerSpec:
    """It sees what the test left and the data set, no device and no artefacts."""
    counting = replace(workload, image=workload.scoring_image)
    spec = container_of(counting, environment, cell, identifier, cpus, Devices())
    return replace(
        spec,
        name=f"{spec.name}-accuracy",
        command=COMMAND,
        mounts=tuple(mount for mount in spec.mounts if mount.target != ARTIFACTS),
        capabilities=(),
        ulimits={},
        ipc="",
    )
