"""From a command line to the steps of a run: which benchmarks, on what, with which images and assets."""

from __future__ import annotations

import os
import secrets
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import NothingSelectedError, StepFailed, UsageError
from orchestrator.plan.run.planner import Cell, RunEnvironment, Workload, cells_of, plan_run, run_id
from orchestrator.plan.run.settings import Choices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.recipes import Asset, Benchmark, Target
    from orchestrator.engines import EngineFacts, ImageFacts
    from orchestrator.facts.devices import FoundDevice
    from orchestrator.facts.host import HostFacts
    from orchestrator.facts.record import AssetId
    from orchestrator.facts.steps import BuildPlan, RunStep
    from orchestrator.operations.context import Context
    from orchestrator.runs.record import RecordContext, Session
    from orchestrator.runs.tuning import Tuned

NO_FOLDER = "/not/known/yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What `mlorch run` was asked for; ``target``, ``benchmarks`` and ``devices`` empty mean the default."""

    benchmarks: tuple[str, ...] = ()
    target: str | None = None
    scenarios: tuple[str, ...] = ()
    mode: str = "all"
    min_duration_ms: int | None = None
    official: bool = False
    target_qps: float | None = None
    find: bool = False
    results: Path = field(default_factory=lambda: Path("results"))
    platform: str | None = None
    arch: str | None = None
    base_source: str = ""
    locked: bool = False
    devices: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBenchmark:
    """A benchmark with everything that its recipe names, and the plan of its image."""

    workload: Workload
    plan: BuildPlan
    benchmark: Entry
    model: Entry
    dataset: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetPlace:
    """Where an asset lies on this host, and how many bytes it has."""

    folder: str
    size: int


def names_of(catalog: Catalog, request: Request, target: str) -> tuple[str, ...]:
    """The benchmarks to run: those named, else the target's default ones.

    Raises `UsageError` with the nearest names for one that does not exist or does
    not run on ``target``, `NothingSelectedError` when nothing is left.
    """
    from orchestrator.plan.build.resolve import benchmarks_of, framework_of

    for name in request.benchmarks:
        framework_of(catalog, target=target, benchmark=name)
    if request.benchmarks:
        return tuple(dict.fromkeys(request.benchmarks))
    found = [
        name
        for name in benchmarks_of(catalog, target)
        if catalog.benchmark(name).definition.default  # type: ignore[attr-defined]
    ]
    if not found:
        raise NothingSelectedError(
            f"no benchmark runs on target `{target}` by default",
            hint="name one: see `mlorch benchmarks list`",
        )
    return tuple(found)


def choose(context: Context, target: str, plans: Sequence[BuildPlan]) -> tuple[PlannedBenchmark, ...]:
    """The workloads of ``plans``; their asset folders are not known yet."""
    catalog = context.catalog
    planned = []
    for plan in plans:
        benchmark = catalog.benchmark(plan.benchmark)
        what: Benchmark = benchmark.definition  # type: ignore[assignment]
        model, dataset = catalog.model(what.model), catalog.dataset(what.dataset)
        workload = Workload(
            benchmark=what,
            target=catalog.target(target).definition,  # type: ignore[arg-type]
            model=model.definition,  # type: ignore[arg-type]
            dataset=dataset.definition,  # type: ignore[arg-type]
            harness=catalog.harness(what.harness).definition,  # type: ignore[arg-type]
            framework=plan.framework,
            image=plan.image,
            model_folder=NO_FOLDER,
            dataset_folder=NO_FOLDER,
        )
        planned.append(
            PlannedBenchmark(workload=workload, plan=plan, benchmark=benchmark, model=model, dataset=dataset)
        )
    return tuple(planned)


def with_assets(planned: PlannedBenchmark, place: Callable[[Entry], AssetPlace]) -> PlannedBenchmark:
    """``planned`` with its model and dataset on this host. Raises `StepFailed` for a folder that is missing."""
    model, dataset = place(planned.model), place(planned.dataset)
    for found in (model, dataset):
        require_folder(found.folder)
    workload = replace(
        planned.workload,
        model_folder=model.folder,
        dataset_folder=dataset.folder,
        model_bytes=model.size,
        dataset_bytes=dataset.size,
    )
    return replace(planned, workload=workload)


def require_folder(path: str) -> None:
    """A missing mount source is an error, never an empty folder made by the engine."""
    if not Path(path).is_dir():
        raise StepFailed(
            f"the host folder {path} does not exist, so it cannot be mounted",
            hint="it was removed while mlorch ran; fetch it again with `mlorch assets get`",
            slug="missing-path",
        )


def require_results_place(results: Path) -> None:
    """The folder of results may be new, but not its parents: a mistyped path must not make a tree."""
    place = results if results.exists() else results.parent
    if not place.is_dir():
        raise UsageError(
            f"the folder {place} does not exist, so results cannot be kept in {results}",
            hint="make it, or name another folder with -o",
            slug="missing-path",
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"results cannot be written to {place}", hint="name another folder with -o", slug="write")


def cells(request: Request, benchmark: Benchmark) -> tuple[Cell, ...]:
    """The tests of one benchmark, accuracy first."""
    return cells_of(benchmark.scenarios, asked=request.scenarios, mode=request.mode, every_accuracy=request.official)


def run_environment(
    request: Request,
    host: HostFacts,
    planned: Sequence[PlannedBenchmark],
    engine: EngineFacts | None,
    limits: Mapping[str, int | None],
    *,
    dry: bool = False,
    others: Sequence[Target] = (),
) -> RunEnvironment:
    """Where the containers run; a dry run for hardware that is not here shows it as with one device.

    ``others`` are all targets there are: a device that is named may be one of another target.
    """
    from orchestrator.host.folders import cache_home
    from orchestrator.host.process import owner_label, this_process, this_user
    from orchestrator.operations.device_inventory import device_inventory, pretended

    targets = [c.workload.target for c in planned]
    devices = device_inventory(targets, found_devices((*targets, *others)), engine)
    if dry:
        for target in targets:
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


def found_devices(targets: Sequence[Target]) -> tuple[FoundDevice, ...]:
    """The devices of these targets that this host has."""
    from orchestrator.host import accelerators

    machine = accelerators.this_machine()
    by_name = {target.name: target for target in targets}
    return tuple(device for target in by_name.values() for device in accelerators.found_devices(target, machine))


def choices_for(request: Request, planned: PlannedBenchmark, cell: Cell, tuned: Mapping[str, Tuned]) -> Choices:
    """What applies to one test: the command line, and what this system stored for exactly this image."""
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


def session_of(host: HostFacts, engine: EngineFacts, argv: Sequence[str] | None = None) -> Session:
    """What all records of this command share, without secrets."""
    from orchestrator import __version__
    from orchestrator.facts.redact import redacted_argv, secret_values
    from orchestrator.host.process import this_process
    from orchestrator.runs.record import Session

    hidden = secret_values(os.environ)
    words = list(sys.argv if argv is None else argv)
    facts = asdict(engine)
    for private in ("host", "root_dir"):  # paths of this machine say nothing about a result
        facts.pop(private, None)
    return Session(
        name=f"{stamp()}-{secrets.token_hex(2)}",
        owner=this_process(),
        mlorch_version=__version__,
        command_line=redacted_argv(["mlorch", *words[1:]], hidden),
        engine=facts,
        host=asdict(host),
        secrets=hidden,
    )


def record_context(planned: PlannedBenchmark, image: ImageFacts | None) -> RecordContext:
    """What the record tells of the benchmark beyond its step."""
    from orchestrator.facts.record import AccuracyGoal, ImageId, LayerId, RecipeId
    from orchestrator.runs.record import RecordContext

    what = planned.workload.benchmark
    layers = tuple(
        LayerId(name=layer.name, level=layer.level, content_id=layer.content_id) for layer in planned.plan.layers
    )
    goal = what.accuracy
    sbom, provenance = documents_of(planned, image)
    return RecordContext(
        recipe=RecipeId(name=what.name, origin=planned.benchmark.origin, sha256=planned.benchmark.sha256),
        image=ImageId(
            reference=planned.plan.image,
            image_id=image.image_id if image else "",
            digest=image.digest if image else "",
            layers=layers,
            sbom_digest=sbom,
            provenance_digest=provenance,
        ),
        model=_asset_id("model", planned.workload.model, planned.workload.model.trained_by),
        dataset=_asset_id("dataset", planned.workload.dataset, ""),
        accuracy_goal=AccuracyGoal(metric=goal.metric, unit=goal.unit, reference=goal.reference, factor=goal.factor),
        title=what.title,
        stands_for=what.stands_for,
        note=what.note,
    )


def documents_of(planned: PlannedBenchmark, image: ImageFacts | None) -> tuple[str, str]:
    """The digests of SBOM and provenance of the image that runs; empty where its own is not known."""
    if image is None or not image.digest:
        return "", ""
    from orchestrator.images.attest.kept import digests
    from orchestrator.images.attest.parts import subject_of

    recipe = (planned.plan.benchmark, planned.benchmark.sha256)
    return digests(subject_of(planned.plan, planned.plan.layers[-1], image.digest, recipe))


def _asset_id(kind: str, asset: Asset, trained_by: str) -> AssetId:
    from orchestrator.facts.record import AssetId, LicenceFact

    licences = []
    for source in asset.sources:
        name = source.path if source.kind == "recipe" else f"{source.package} {source.version}"
        licences.append(LicenceFact(source=name, spdx=source.licence.spdx, note=source.licence.note))
    return AssetId(
        kind=kind,
        name=asset.name,
        files={out.file: out.sha256 for out in asset.outputs},
        title=asset.title,
        trained_by=trained_by,
        licences=tuple(licences),
    )
