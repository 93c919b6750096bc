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
    container = container_of(workload, environment, cell, identifier, cpus, devices)
    external = None
    if workload.harness.program is not None:
        test = _external_test(workload, environment, cell, identifier, settings, container, devices)
        external, parameters = plan_external(test)
        container = next(step.container for step in external.steps if step.role == "run")
        settings["parameters"] = parameters
        chosen = workload.parameters
        provenance |= {f"parameters.{name}": chosen[name].source if name in chosen else "recipe" for name in parameters}
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
        model=_asset("model", workload.model),
        dataset=_asset("dataset", workload.dataset),
        results_owner=environment.user.owner,
        device_injection=devices.device_injection,
        external=external,
    )


def _external_test(
    workload: Workload,
    environment: RunEnvironment,
    cell: Cell,
    identifier: str,
    settings: Mapping[str, object],
    container: ContainerSpec,
    devices: Devices,
) -> ExternalTest:
    """What the plan of somebody else's program is made of, with every value that its texts can name."""
    program = workload.harness.program
    assert program is not None  # the caller looked
    loadgen = settings["loadgen"]
    assert isinstance(loadgen, dict)
    folder = f"{environment.results}/{identifier}"
    uid, _, gid = environment.user.inside.partition(":")
    model = f"/models/{workload.model.name}"
    given = [device.index or device.name for device in devices.device_injection.devices]
    values: dict[str, Value] = {
        "scenario": cell.scenario,
        "mode": cell.mode,
        "benchmark": workload.benchmark.name,
        "target": workload.target.name,
        "framework": workload.harness.backends[workload.framework],
        "run_id": identifier,
        "model": model,
        "model.file": f"{model}/{workload.model.outputs[0].path}",
        "data": f"/data/{workload.dataset.name}",
        "data.samples": workload.dataset.samples,
        "results": "/results",
        "artifacts": ARTIFACTS,
        "scratch": "/scratch",
        "config": CONFIG,
        "source": program.source,
        "cpus": max(1, len(container.cpus)),
        "cpu_list": ",".join(str(cpu) for cpu in container.cpus),
        "devices.count": len(given),
        "devices.list": ",".join(given),
        "numa.nodes": max(1, len(container.memory_nodes)),
        "numa.cores": max(1, len(container.cpus) // max(1, len(container.memory_nodes))),
        "memory_mb": (container.memory or 0) // 2**20,
        "uid": uid,
        "gid": gid or uid,
    }
    values |= {f"settings.{key}": value for key, value in loadgen.items() if isinstance(value, int | float)}
    return ExternalTest(
        harness=workload.harness.name,
        program=program,
        container=container,
        scenario=cell.scenario,
        mode=cell.mode,
        values=values,
        settings=loadgen,
        chosen={name: parameter.value for name, parameter in workload.parameters.items()},
        folder=folder,
    )


def _asset(kind: str, asset: Asset) -> AssetRef:
    return AssetRef(kind=kind, name=asset.name, files={out.path: out.sha256 for out in asset.outputs})
