"""Every value that the texts of an external harness can name, for one test. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.facts.containers import ARTIFACTS, RESULTS
from orchestrator.facts.external import CONFIG, MADE
from orchestrator.plan.run.settings import weights_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.definitions.kinds.assets import Asset
    from orchestrator.definitions.kinds.external import Program
    from orchestrator.definitions.values import Value
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.facts.runs import DeviceInjection
    from orchestrator.plan.run.cells import Cell
    from orchestrator.plan.run.workload import RunEnvironment, Workload

SCRATCH = "/scratch"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalTest:
    """What the plan of one test is made of.

    ``container`` is the container as our own harness would get it: image, user, mounts, processors, devices.
    ``values`` has the base values (`VALUE_NAMES`), ``settings`` LoadGen's; ``chosen`` are the parameters that
    the command line or the benchmark set, ``folder`` is the run's folder on the host.
    """

    harness: str
    program: Program
    container: ContainerSpec
    scenario: str
    mode: str
    values: Mapping[str, Value]
    settings: Mapping[str, object]
    chosen: Mapping[str, str]
    folder: str
    program_id: str = ""
    """The image without what it says of its benchmark; empty where the whole image counts."""
    artifacts: str = ""
    """The host's folder of artefacts of all runs."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What artefacts are made of: the files of model and data set with their hashes."""
    device_kinds: tuple[str, ...] = ()
    """What the devices of the run are (product names), in order."""


def external_test(
    workload: Workload,
    environment: RunEnvironment,
    cell: Cell,
    identifier: str,
    settings: Mapping[str, object],
    container: ContainerSpec,
    devices: DeviceInjection,
) -> ExternalTest:
    """What the plan of a test of somebody else's program is made of; the workload's harness has one."""
    program = workload.harness.program
    loadgen = settings["loadgen"]
    assert program is not None
    assert isinstance(loadgen, dict)
    return ExternalTest(
        harness=workload.harness.name,
        program=program,
        container=container,
        scenario=cell.scenario,
        mode=cell.mode,
        values={
            **_values(workload, environment, cell, identifier, loadgen, container, devices),
            **_endpoint(settings.get("endpoint")),
        },
        settings=loadgen,
        chosen={name: chosen.value for name, chosen in workload.parameters.items()},
        folder=f"{environment.results}/{identifier}",
        program_id=workload.program_id,
        artifacts=f"{environment.artifacts}/{MADE}",
        inputs={**_hashes("model", workload.model), **_hashes("dataset", workload.dataset)},
        device_kinds=tuple(device.product for device in devices.devices),
    )


def _values(
    workload: Workload,
    environment: RunEnvironment,
    cell: Cell,
    identifier: str,
    loadgen: Mapping[str, object],
    container: ContainerSpec,
    devices: DeviceInjection,
) -> dict[str, Value]:
    program = workload.harness.program
    uid, _, gid = environment.user.inside.partition(":")
    model = f"/models/{workload.model.name}"
    indices = [device.index or device.name for device in devices.devices]
    cpus, nodes = max(1, len(container.cpus)), max(1, len(container.memory_nodes))
    values: dict[str, Value] = {
        "scenario": cell.scenario,
        "mode": cell.mode,
        "benchmark": workload.benchmark.name,
        "target": workload.target.name,
        "arch": workload.arch,
        "framework": workload.harness.backends[workload.framework],
        "run_id": identifier,
        "loadgen_model": workload.loadgen_model or workload.benchmark.name,
        "model": model,
        "model.file": f"{model}/{weights_file(workload.model)}",
        "data": f"/data/{workload.dataset.name}",
        "data.samples": workload.dataset.samples,
        "results": RESULTS,
        "artifacts": ARTIFACTS,
        "scratch": SCRATCH,
        "config": CONFIG,
        "source": "" if program is None else program.source,
        "cpus": cpus,
        "cpu_list": ",".join(str(cpu) for cpu in container.cpus),
        "cpu_first": min(container.cpus, default=0),
        "devices.count": len(indices),
        "devices.list": ",".join(indices),
        "numa.nodes": nodes,
        "numa.cores": max(1, cpus // nodes),
        "memory_mb": (container.memory or 0) // 2**20,
        "uid": uid,
        "gid": gid or uid,
    }
    values |= {f"settings.{key}": value for key, value in loadgen.items() if isinstance(value, int | float)}
    return values


def _endpoint(endpoint: object) -> dict[str, Value]:
    """Where the servers are that it is a client of; nothing where it is none."""
    if not isinstance(endpoint, dict):
        return {}
    urls = endpoint["urls"]
    return {"endpoint.url": urls[0], "endpoint.urls": ",".join(urls), "endpoint.model": endpoint["model"]}


def _hashes(kind: str, asset: Asset) -> dict[str, str]:
    return {f"{kind}/{asset.name}/{output.path}": output.sha256 for output in asset.outputs}
