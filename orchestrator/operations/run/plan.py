"""The tests of a run request on this host, each a step that can be started: where they run and with which choices."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.engines.users import container_user, unwritable
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.host.clock import stamp
from orchestrator.host.process import owner_label, this_process
from orchestrator.operations.run.benchmarks import PlannedBenchmark, with_parameters
from orchestrator.operations.run.power import INFORMAL, power_server
from orchestrator.operations.run.selection import cells
from orchestrator.plan.run.planner import plan_run, run_id
from orchestrator.plan.run.processors import parse_cpus
from orchestrator.plan.run.settings import Choices
from orchestrator.plan.run.workload import RunEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.definitions.kinds.targets import Target
    from orchestrator.engines import EngineFacts
    from orchestrator.facts.compliance import ComparedRun
    from orchestrator.facts.devices import FoundDevice
    from orchestrator.facts.host import HostFacts
    from orchestrator.facts.runs import RunStep
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Talk
    from orchestrator.operations.run.compared import Key
    from orchestrator.operations.run.request import RunRequest
    from orchestrator.operations.target_choice import TargetChoice
    from orchestrator.plan.run.cells import Cell
    from orchestrator.runs.tuning import Tuned


def run_environment(
    context: Context,
    request: RunRequest,
    chosen: TargetChoice,
    host: HostFacts,
    engine: EngineFacts | None,
    limits: Mapping[str, int | None],
    *,
    dry: bool = False,
) -> RunEnvironment:
    """Where the containers run; a dry run for hardware that is not here shows it as with one device."""
    from orchestrator.host.folders import cache_home
    from orchestrator.operations.targets import device_inventory, with_pretended_device

    target = context.catalog.target(chosen.name).definition
    devices = device_inventory([target], _devices(context, request, target), engine)
    if dry:
        devices = with_pretended_device(devices, target)
    return RunEnvironment(
        host=host,
        results=str(request.results.absolute()),
        artifacts=str(cache_home() / "artifacts"),
        user=container_user(None if dry and engine is not None and unwritable(engine) else engine),
        owner=owner_label(this_process()),
        devices=devices,
        device_selection=request.devices,
        cpus=parse_cpus(request.cpus),
        limits=limits,
        power=power_server(request.power),
        power_folder=str(cache_home() / "power"),
        informal_power=request.power == INFORMAL,
    )


def _devices(context: Context, request: RunRequest, target: Target) -> tuple[FoundDevice, ...]:
    """The devices that a run may mean: the target's, and of every target where one is named by UUID or address."""
    from orchestrator.host.accelerators import found_devices
    from orchestrator.operations.target_choice import all_targets

    targets = all_targets(context.catalog) if ":" in request.devices else (target,)
    return tuple(device for each in targets for device in found_devices(each, context.machine))


def step_of(planned: PlannedBenchmark, environment: RunEnvironment, cell: Cell, choices: Choices) -> RunStep:
    """One test, with a fresh run id."""
    identifier = run_id(stamp(), planned.plan.benchmark, planned.plan.target, cell, secrets.token_hex(2))
    return plan_run(planned.workload, environment, cell, identifier, choices)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """The tests of a request on this host: all that a dry run needs."""

    request: RunRequest
    planned: tuple[PlannedBenchmark, ...]
    environment: RunEnvironment
    tuned: Mapping[str, Tuned]
    compared: Mapping[Key, ComparedRun] = field(default_factory=dict)
    """Results of before that compliance tests are compared with, in place of the tests that these are of."""

    def tests(self) -> Iterator[tuple[PlannedBenchmark, Cell]]:
        """Every test in order, accuracy of a benchmark first, its compliance tests last."""
        for planned in self.planned:
            for cell in cells(self.request, planned.workload.benchmark, planned.workload.compliance):
                if (planned.plan.benchmark, cell.scenario, cell.mode) not in self.compared:
                    yield planned, cell

    def steps(self) -> Iterator[RunStep]:
        """Every test as it is planned; a compliance test with what it will be compared with."""
        from orchestrator.operations.run.compared import ComparedRuns

        runs = ComparedRuns(dict(self.compared))
        for planned, cell in self.tests():
            if cell.test is not None:
                yield self.step(planned, cell, compared=runs.of_test(planned, cell.test, cell.scenario).runs)
                continue
            step = self.step(planned, cell)
            runs.planned(planned, cell, step, self.environment.results)
            yield step

    def step(self, planned: PlannedBenchmark, cell: Cell, **changes: object) -> RunStep:
        """One test of ``planned``, with a fresh id; ``changes`` replace fields of its choices."""
        planned, choices = self.chosen(planned, cell.scenario, **changes)
        return step_of(planned, self.environment, cell, choices)

    def chosen(self, planned: PlannedBenchmark, scenario: str, **changes: object) -> tuple[PlannedBenchmark, Choices]:
        """What a test of a scenario is planned from: the benchmark with its parameters, and what was asked or found."""
        request, tuned = self.request, self.stored(planned, scenario)
        choices = Choices(
            min_duration_ms=request.min_duration_ms,
            timeout_s=request.timeout_s,
            official=request.official,
            target_qps=request.target_qps,
            # What this system stored for exactly this image.
            system={} if tuned is None else tuned.settings,
        )
        parameters = changes.pop("parameters", {} if tuned is None else tuned.parameters)
        planned = with_parameters(planned, parameters)  # type: ignore[arg-type]
        return planned, replace(choices, **changes)  # type: ignore[arg-type]

    def stored(self, planned: PlannedBenchmark, scenario: str) -> Tuned | None:
        """What `--find` or `tune` stored for a scenario, with exactly this image and these devices."""
        from orchestrator.operations.run.findings import stored

        return stored(self, planned, scenario)


def say_what_is_not_searched(planned: PlannedRun, talk: Talk) -> None:
    """What --find does of a scenario whose rate nobody sets."""
    cells = [cell for _, cell in planned.tests() if cell.mode == "performance"]
    names = dict.fromkeys(cell.scenario for cell in cells if not SCENARIOS[cell.scenario].has_searched_rate)
    if names:
        talk.say(f"no rate to search in {', '.join(names)}: run once; later runs expect what that measures")
