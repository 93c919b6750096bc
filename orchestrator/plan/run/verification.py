"""The container in which MLCommons' script verifies a compliance test, after the test. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.facts.compliance import FOLDER, PlannedCompliance
from orchestrator.facts.containers import Mount
from orchestrator.facts.tasks import TASKS
from orchestrator.plan.run.container import container_of
from orchestrator.plan.run.devices import Devices

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.facts.compliance import ComparedRun
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.plan.run.cells import Cell
    from orchestrator.plan.run.workload import RunEnvironment, Workload

COMPARED, TEST, OUTPUT = "/compared", "/test", "/output"
"""Where the container has what the test is compared with, the test itself, and what the script writes."""
PLACES = {"accuracy": f"{COMPARED}/accuracy", "performance": f"{COMPARED}/performance/run_1"}
"""Where a submission has the logs of a test, by its mode: the scripts look for them there."""
BYTES = "byte"
"""What the scripts call answers that are no array of numbers."""


def planned_compliance(
    workload: Workload,
    environment: RunEnvironment,
    cell: Cell,
    identifier: str,
    cpus: tuple[int, ...],
    compared: Iterable[ComparedRun],
) -> PlannedCompliance | None:
    """How a compliance test is verified; None where the test is none."""
    if cell.test is None:
        return None
    needed = tuple(one for one in compared if one.mode in cell.test.compared_with)
    return PlannedCompliance(
        test=cell.test,
        commit=workload.compliance_commit,
        compared=needed,
        verification=_container(workload, environment, cell, identifier, cpus, needed),
    )


def _container(
    workload: Workload,
    environment: RunEnvironment,
    cell: Cell,
    identifier: str,
    cpus: tuple[int, ...],
    compared: tuple[ComparedRun, ...],
) -> ContainerSpec:
    """It reads two or three folders of results and writes one; it sees no model, no data and no device."""
    assert cell.test is not None  # whoever calls it has a test
    verifying = replace(workload, image=workload.compliance_image)
    spec = container_of(verifying, environment, cell, identifier, cpus, Devices())
    own = f"{environment.results}/{identifier}"
    mounts = [Mount(source=one.folder, target=PLACES[one.mode]) for one in compared]
    mounts += [
        Mount(source=own, target=TEST),
        Mount(source=f"{own}/{FOLDER}", target=OUTPUT, read_only=False),
    ]
    return replace(
        spec,
        name=f"{spec.name}-{FOLDER}",
        command=_command(cell, workload.benchmark.task),
        mounts=tuple(mounts),
        capabilities=(),
        ulimits={},
        ipc="",
    )


def _command(cell: Cell, task: str) -> tuple[str, ...]:
    assert cell.test is not None  # as above
    known = TASKS.get(task)
    values = {
        "results": COMPARED,
        "test": TEST,
        "output": OUTPUT,
        "dtype": BYTES if known is None else known.answer,
        "scenario": cell.scenario,
    }
    words = []
    for word in cell.test.command:
        for name, value in values.items():
            word = word.replace(f"{{{name}}}", value)  # noqa: PLW2901
        words.append(word)
    return tuple(words)
