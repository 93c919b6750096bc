"""Plan the tests of a run: which containers, with which settings, on which part of the machine.

Pure: everything that the plan depends on is an argument. The same inputs give
the same steps, and a dry run prints what would start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.facts.runs import AssetRef, RunStep
from orchestrator.plan.run.container import container_of
from orchestrator.plan.run.devices import plan_devices
from orchestrator.plan.run.processors import cpu_set
from orchestrator.plan.run.settings import settings_of

if TYPE_CHECKING:
    from orchestrator.definitions.kinds.recipes import Asset
    from orchestrator.plan.run.cells import Cell
    from orchestrator.plan.run.settings import Choices
    from orchestrator.plan.run.workload import RunEnvironment, Workload


def run_id(stamp: str, benchmark: str, target: str, cell: Cell, token: str) -> str:
    """The name of a run: ``stamp`` as ``20261124T014100Z``, ``token`` four hex digits."""
    return stamp + f"-{benchmark}-{target}-{cell.scenario}-{cell.mode}-{token}".lower()


def plan_run(workload: Workload, environment: RunEnvironment, cell: Cell, identifier: str, choices: Choices) -> RunStep:
    """One LoadGen test as a frozen step.

    Raises `HostLimitError` where the host cannot give what the target asks for:
    nothing is ever lowered silently.
    """
    benchmark, target = workload.benchmark, workload.target
    devices = plan_devices(target, environment.devices, environment.device_selection, environment.user.inside)
    cpus = cpu_set(environment.host, devices.near)
    settings, provenance = settings_of(workload, cell, identifier, choices, cpus)
    return RunStep(
        run_id=identifier,
        benchmark=benchmark.name,
        target=target.name,
        scenario=cell.scenario,
        mode=cell.mode,
        image=workload.image,
        container=container_of(workload, environment, cell, identifier, cpus, devices),
        settings=settings,
        provenance=provenance,
        model=_asset("model", workload.model),
        dataset=_asset("dataset", workload.dataset),
        results_owner=environment.user.owner,
        device_injection=devices.device_injection,
    )


def _asset(kind: str, asset: Asset) -> AssetRef:
    return AssetRef(kind=kind, name=asset.name, files={out.file: out.sha256 for out in asset.outputs})
