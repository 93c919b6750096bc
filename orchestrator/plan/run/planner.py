"""Plan the tests of a run: which containers, with which settings, on which part of the machine.

Pure: everything that the plan depends on is an argument. The same inputs give
the same steps, and a dry run prints what would start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.facts.external import only_its_test_joins
from orchestrator.facts.runs import AssetRef, RunStep
from orchestrator.plan.run.container import container_of
from orchestrator.plan.run.devices import Devices, plan_devices
from orchestrator.plan.run.endpoint import as_endpoint_client, endpoint_deviations, endpoint_settings
from orchestrator.plan.run.external.plan import plan_external
from orchestrator.plan.run.external.values import external_test
from orchestrator.plan.run.limits import time_limit
from orchestrator.plan.run.power import planned_power
from orchestrator.plan.run.processors import cpu_set
from orchestrator.plan.run.roles import as_client, client_cpus, deviations, endpoint, plan_roles
from orchestrator.plan.run.scoring import scoring_container
from orchestrator.plan.run.settings import settings_of
from orchestrator.plan.run.verification import planned_compliance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.definitions.kinds.assets import Asset
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.facts.external import ExternalRun
    from orchestrator.facts.runs import TimeLimit
    from orchestrator.plan.run.cells import Cell
    from orchestrator.plan.run.settings import Choices
    from orchestrator.plan.run.workload import RunEnvironment, Workload


def run_id(stamp: str, benchmark: str, target: str, cell: Cell, token: str) -> str:
    """The name of a run: ``stamp`` as ``20261124T014100Z``, ``token`` four hex digits."""
    return stamp + f"-{benchmark}-{target}-{cell.scenario}-{cell.name}-{token}".lower()


def plan_run(workload: Workload, environment: RunEnvironment, cell: Cell, identifier: str, choices: Choices) -> RunStep:
    """One LoadGen test as a frozen step.

    Raises `HostLimitError` where the host cannot give what the target asks for:
    nothing is ever lowered silently. Of an external harness, as `plan_external`.
    """
    devices = plan_devices(workload.target, environment.devices, environment.device_selection, environment.user.on_host)
    cpus = cpu_set(environment.host, devices.near, environment.cpus)
    own_cpus = client_cpus(workload, cpus)
    own = Devices() if workload.benchmark.roles or environment.endpoint is not None else devices
    settings, provenance = settings_of(workload, cell, identifier, choices, own_cpus)
    if environment.cpus and "execution.cpus" in provenance:
        provenance["execution.cpus"] = "command line"
    container = container_of(workload, environment, cell, identifier, own_cpus, own)
    roles = None
    if workload.benchmark.roles:
        container = as_client(container, workload)
        settings["endpoint"] = endpoint(workload)
        roles = plan_roles(workload, environment, cell, identifier, cpus, container)
    elif environment.endpoint is not None:
        container = as_endpoint_client(container, workload, environment.endpoint)
        settings["endpoint"] = endpoint_settings(environment.endpoint)
    external = None
    if workload.harness.program is not None:
        test = external_test(workload, environment, cell, identifier, settings, container, own.device_injection)
        external, parameters = plan_external(test)
        if roles is not None:
            external = only_its_test_joins(external, container.network)
        container = external.test.container
        settings["parameters"] = parameters
        provenance |= _parameter_sources(workload, parameters)
    return RunStep(
        run_id=identifier,
        benchmark=workload.benchmark.name,
        target=workload.target.name,
        scenario=cell.scenario,
        mode=cell.mode,
        image=workload.image,
        container=container,
        settings=settings,
        provenance=provenance,
        model=_model_ref(workload, environment),
        dataset=asset_ref("dataset", workload.dataset),
        results_owner=environment.user.owner,
        device_injection=devices.device_injection,
        external=external,
        scoring=_scoring(workload, environment, cell, identifier, cpus),
        compliance=planned_compliance(workload, environment, cell, identifier, cpus, choices.compared),
        roles=roles,
        endpoint=environment.endpoint,
        role_deviations=_deviations(workload, environment),
        power=planned_power(workload, environment, cell, identifier, container),
        informal_power=environment.informal_power and cell.mode == "performance",
        limit=_limit(settings, choices, external),
    )


def _limit(settings: Mapping[str, object], choices: Choices, external: ExternalRun | None) -> TimeLimit:
    loadgen = settings["loadgen"]
    assert isinstance(loadgen, dict)  # as `settings_of` makes it
    return time_limit(loadgen, choices.timeout_s, is_ours=external is None)


def _parameter_sources(workload: Workload, names: Iterable[str]) -> dict[str, str]:
    """Who chose each parameter of a program: its recipe, where nobody else did."""
    chosen = workload.parameters
    return {f"parameters.{name}": chosen[name].source if name in chosen else "recipe" for name in names}


def _scoring(
    workload: Workload, environment: RunEnvironment, cell: Cell, identifier: str, cpus: tuple[int, ...]
) -> ContainerSpec | None:
    """The container that counts the accuracy after the test, where one does."""
    if cell.mode != "accuracy" or not workload.scoring_image:
        return None
    return scoring_container(workload, environment, cell, identifier, cpus)


def _deviations(workload: Workload, environment: RunEnvironment) -> tuple[str, ...]:
    if environment.endpoint is not None:
        return endpoint_deviations(environment.endpoint)
    return deviations(workload)


def _model_ref(workload: Workload, environment: RunEnvironment) -> AssetRef:
    """Of an endpoint nobody here knows the files."""
    if environment.endpoint is not None:
        return AssetRef(kind="model", name=environment.endpoint.model, files={})
    return asset_ref("model", workload.model)


def asset_ref(kind: str, asset: Asset) -> AssetRef:
    return AssetRef(kind=kind, name=asset.name, files={out.path: out.sha256 for out in asset.outputs})
