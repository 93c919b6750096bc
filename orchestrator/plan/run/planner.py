"""Plan the tests of a run: which containers, with which settings, on which part of the machine.

Pure: everything that the plan depends on is an argument. The same inputs give
the same steps, and a dry run prints what would start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.facts.runs import AssetRef, RunStep
from orchestrator.plan.run.container import container_of
from orchestrator.plan.run.devices import plan_devices
from orchestrator.plan.run.external import plan_external
from orchestrator.plan.run.external_values import external_test
from orchestrator.plan.run.processors import cpu_set
from orchestrator.plan.run.scoring import scoring_container
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
    nothing is ever lowered silently. Of an external harness, as `plan_external`.
    """
    benchmark, target = workload.benchmark, workload.target
    devices = plan_devices(target, environment.devices, environment.device_selection, environment.user.inside)
    cpus = cpu_set(environment.host, devices.near, environment.cpus)
    settings, provenance = settings_of(workload, cell, identifier, choices, cpus)
    if environment.cpus and "execution.cpus" in provenance:
        provenance["execution.cpus"] = "command line"
    container = container_of(workload, environment, cell, identifier, cpus, devices)
    external = None
    if workload.harness.program is not None:
        test = external_test(workload, environment, cell, identifier, settings, container, devices.device_injection)
        external, parameters = plan_external(test)
        container = external.test.container
        settings["parameters"] = parameters
        for name in parameters:
            chosen = workload.parameters.get(name)
            provenance[f"parameters.{name}"] = "recipe" if chosen is None else chosen.source
    return RunStep(
        run_id=identifier,
        benchmark=benchmark.name,
        target=target.name,
        scenario=cell.scenario,
        mode=cell.mode,
        image=workload.image,
        container=container,
        settings=settings,
        provenance=provenance,
        model=asset_ref("model", workload.model),
        dataset=asset_ref("dataset", workload.dataset),
        results_owner=environment.user.owner,
        device_injection=devices.device_injection,
        external=external,
        scoring=(
            scoring_container(workload, environment, cell, identifier, cpus)
            if cell.mode == "accuracy" and workload.scoring_image
            else None
        ),
    )


def asset_ref(kind: str, asset: Asset) -> AssetRef:
    return AssetRef(kind=kind, name=asset.name, files={out.path: out.sha256 for out in asset.outputs})
