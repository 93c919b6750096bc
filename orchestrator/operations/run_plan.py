"""From a run request to the steps of its tests: which benchmarks, on what, with which images and assets."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import NothingSelectedError, StepFailed, UsageError
from orchestrator.operations.plan_cache import Selection
from orchestrator.plan.build.resolve import benchmark_in, benchmarks_of, framework_of
from orchestrator.plan.run.cells import Cell, cells_of
from orchestrator.plan.run.planner import plan_run, run_id
from orchestrator.plan.run.settings import Choices
from orchestrator.plan.run.workload import RunEnvironment, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.recipes import Asset, Benchmark, Dataset, Model, Target
    from orchestrator.engines import EngineFacts
    from orchestrator.facts.build import BuildPlan
    from orchestrator.facts.devices import FoundDevice
    from orchestrator.facts.host import HostFacts
    from orchestrator.facts.runs import RunStep
    from orchestrator.operations.context import Context
    from orchestrator.operations.run_request import RunRequest
    from orchestrator.operations.target_choice import TargetChoice
    from orchestrator.runs.tuning import Tuned

NO_FOLDER = "/not/known/yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBenchmark:
    """A benchmark with everything that its recipe names, and the plan of its image."""

    workload: Workload
    plan: BuildPlan
    benchmark: Entry[Benchmark]
    model: Entry[Model]
    dataset: Entry[Dataset]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFolder:
    """Where an asset lies on this host, and how many bytes it has."""

    folder: str
    size: int


def selection_of(context: Context, request: RunRequest, chosen: TargetChoice) -> Selection:
    """The images that a run needs.

    Raises `UsageError` for names that do not exist or do not fit each other, `NothingSelectedError`
    where the target has no default benchmark.
    """
    names = names_of(context.catalog, request, chosen.name)
    for name in names:
        cells(request, context.catalog.benchmark(name).definition)
    return Selection(
        target=chosen.name,
        benchmarks=names,
        arch=request.arch,
        base_source=request.base_source,
        round=request.round,
        locked=request.locked,
    )


def names_of(catalog: Catalog, request: RunRequest, target: str) -> tuple[str, ...]:
    """The benchmarks to run: those named, else the target's default ones.

    Raises `UsageError` with the nearest names for one that does not exist or does
    not run on ``target``, `NothingSelectedError` when nothing is left.
    """
    for name in request.benchmarks:
        framework_of(catalog, target=target, benchmark=name)
    if request.benchmarks:
        return tuple(dict.fromkeys(request.benchmarks))
    found = [name for name in benchmarks_of(catalog, target) if catalog.benchmark(name).definition.default]
    if not found:
        raise NothingSelectedError(
            f"no benchmark runs on target `{target}` by default",
            hint="name one: see `mlorch benchmarks list`",
        )
    return tuple(found)


def planned_benchmarks(
    catalog: Catalog, plans: Sequence[BuildPlan], round_name: str = ""
) -> tuple[PlannedBenchmark, ...]:
    """The workloads of ``plans`` by the rules of a round (empty: their own); their asset folders are not known yet."""
    return tuple(_planned_benchmark(catalog, plan, round_name) for plan in plans)


def _planned_benchmark(catalog: Catalog, plan: BuildPlan, round_name: str) -> PlannedBenchmark:
    benchmark = benchmark_in(catalog, plan.benchmark, round_name)
    what = benchmark.definition
    model, dataset = catalog.model(what.model), catalog.dataset(what.dataset)
    workload = Workload(
        benchmark=what,
        target=catalog.target(plan.target).definition,
        model=model.definition,
        dataset=dataset.definition,
        harness=catalog.harness(what.harness).definition,
        framework=plan.framework,
        image=plan.image,
        model_folder=NO_FOLDER,
        dataset_folder=NO_FOLDER,
    )
    return PlannedBenchmark(workload=workload, plan=plan, benchmark=benchmark, model=model, dataset=dataset)


def with_assets(planned: PlannedBenchmark, folder_of: Callable[[Entry[Asset]], AssetFolder]) -> PlannedBenchmark:
    """``planned`` with its model and dataset on this host. Raises `StepFailed` for a folder that is missing."""
    model, dataset = folder_of(planned.model), folder_of(planned.dataset)
    for found in (model, dataset):
        _require_folder(found.folder)
    workload = replace(
        planned.workload,
        model_folder=model.folder,
        dataset_folder=dataset.folder,
        model_bytes=model.size,
        dataset_bytes=dataset.size,
    )
    return replace(planned, workload=workload)


def _require_folder(path: str) -> None:
    """A missing mount source is an error, never an empty folder made by the engine."""
    if not Path(path).is_dir():
        raise StepFailed(
            f"the host folder {path} does not exist, so it cannot be mounted",
            hint="it was removed while mlorch ran; fetch it again with `mlorch assets get`",
            slug="missing-path",
        )


def require_results_folder(results: Path) -> None:
    """The folder of results may be new, but not its parents: a mistyped path must not make a tree."""
    folder = results if results.exists() else results.parent
    if not folder.is_dir():
        raise UsageError(
            f"the folder {folder} does not exist, so results cannot be kept in {results}",
            hint="make it, or name another folder with -o",
            slug="missing-path",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"results cannot be written to {folder}", hint="name another folder with -o", slug="write")


def cells(request: RunRequest, benchmark: Benchmark) -> tuple[Cell, ...]:
    """The tests of one benchmark, accuracy first."""
    return cells_of(benchmark.scenarios, asked=request.scenarios, mode=request.mode, every_accuracy=request.official)


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
    from orchestrator.host.process import owner_label, this_process, this_user
    from orchestrator.operations.device_inventory import device_inventory, pretended

    target = context.catalog.target(chosen.name).definition
    devices = device_inventory([target], _devices(context, request, target), engine)
    if dry:
        devices = pretended(devices, target)
    return RunEnvironment(
        host=host,
        results=str(request.results.absolute()),
        artifacts=str(cache_home() / "artifacts"),
        user=this_user(),
        owner=owner_label(this_process()),
        devices=devices,
        device_selection=request.devices,
        limits=limits,
    )


def _devices(context: Context, request: RunRequest, target: Target) -> tuple[FoundDevice, ...]:
    """The devices that a run may mean: the target's, and of every target where one is named by UUID or address."""
    from orchestrator.host.accelerators import found_devices
    from orchestrator.operations.target_choice import all_targets

    targets = all_targets(context.catalog) if ":" in request.devices else (target,)
    return tuple(device for each in targets for device in found_devices(each, context.machine))


def choices_for(request: RunRequest, planned: PlannedBenchmark, cell: Cell, tuned: Mapping[str, Tuned]) -> Choices:
    """What applies to one test: the request, and what this system stored for exactly this image."""
    from orchestrator.runs.tuning import key_of, settings_for

    key = key_of(planned.plan.benchmark, planned.plan.target, cell.scenario, request.devices)
    stored = settings_for(tuned, key=key, content_id=planned.plan.layers[-1].content_id)
    return Choices(
        min_duration_ms=request.min_duration_ms,
        official=request.official,
        target_qps=request.target_qps,
        system=stored,
    )


def step_of(planned: PlannedBenchmark, environment: RunEnvironment, cell: Cell, choices: Choices) -> RunStep:
    """One test, with a fresh run id."""
    identifier = run_id(stamp(), planned.plan.benchmark, planned.plan.target, cell, secrets.token_hex(2))
    return plan_run(planned.workload, environment, cell, identifier, choices)


def stamp() -> str:
    """Now, as run ids begin: ``20261124T014100Z``."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
