"""How a test is measured with power: the containers beside it, decided once. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.facts.containers import RECORD, RESULTS, Mount
from orchestrator.facts.power import EXCHANGE, PERFORMANCE, RANGING, PlannedPower
from orchestrator.plan.run.container import container_of
from orchestrator.plan.run.devices import Devices

if TYPE_CHECKING:
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.plan.run.cells import Cell
    from orchestrator.plan.run.workload import RunEnvironment, Workload

LAYER = "mlcommons-power-client"
"""The side layer with MLCommons' client and its check."""
CLIENT = ("python3", "-m", "mlorch_power.client")
SESSION = "/session"
CHECK = ("python3", "/opt/mlcommons-power/compliance/check.py", SESSION)


def planned_power(
    workload: Workload,
    environment: RunEnvironment,
    cell: Cell,
    identifier: str,
    container: ContainerSpec,
) -> PlannedPower | None:
    """The plan of a performance test with power; None of any other test, and where no power server is named."""
    if environment.power is None or cell.mode != "performance":
        return None
    measuring = replace(workload, image=workload.power_image)
    beside = container_of(measuring, environment, cell, identifier, container.cpus, Devices())
    beside = replace(beside, capabilities=(), ulimits={}, ipc="private")
    own = f"{environment.results}/{identifier}"
    exchange = Mount(source=f"{environment.power_folder}/{identifier}", target=EXCHANGE, read_only=False)
    return PlannedPower(
        server=environment.power,
        commit=workload.power_commit,
        client=replace(beside, name=f"{beside.name}-power", command=CLIENT, mounts=(exchange,)),
        ranging=_ranging(container, own),
        check=replace(
            beside,
            name=f"{beside.name}-power-check",
            command=CHECK,
            mounts=(Mount(source=f"{own}/{PERFORMANCE}", target=SESSION),),
        ),
    )


def _ranging(container: ContainerSpec, own: str) -> ContainerSpec:
    """The test's own container once more, with a folder of results for the ranging run alone."""
    places = {own: f"{own}/{RANGING}", f"{own}/{RECORD}": f"{own}/{RANGING}/{RECORD}"}
    mounts = tuple(
        replace(mount, source=places[mount.source]) if mount.target in {RESULTS, f"{RESULTS}/{RECORD}"} else mount
        for mount in container.mounts
    )
    return replace(container, name=f"{container.name}-ranging", mounts=mounts)
