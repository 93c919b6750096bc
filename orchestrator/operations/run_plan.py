"""From a run request to the steps of its tests and what their records tell: benchmarks, devices, images, assets."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.assets.trees import find_tree
from orchestrator.definitions.asset_locks import source_words
from orchestrator.definitions.catalog.judged import changed_rules, require_rules
from orchestrator.definitions.catalog.rounds import round_names
from orchestrator.errors import NothingSelectedError, StepFailed, UsageError
from orchestrator.facts.record import AccuracyGoal, AssetId, ImageId, LayerId, LicenceFact, RecipeId
from orchestrator.facts.redact import redacted_argv, secret_values
from orchestrator.facts.roles import PROBES
from orchestrator.host.process import owner_label, this_process, this_user
from orchestrator.operations.plan_cache import Selection
from orchestrator.operations.run_roles import changes_of
from orchestrator.operations.suites import chosen_of_suite
from orchestrator.plan.build.content import program_id
from orchestrator.plan.build.resolve import benchmark_in, benchmarks_of, framework_of
from orchestrator.plan.run.cells import Cell, cells_of
from orchestrator.plan.run.planner import plan_run, run_id
from orchestrator.plan.run.processors import parse_cpus
from orchestrator.plan.run.scoring import LAYER as SCORING_LAYER
from orchestrator.plan.run.scoring import is_scored
from orchestrator.plan.run.settings import Choices
from orchestrator.plan.run.showing import why_not_shown
from orchestrator.plan.run.workload import ChosenParameter, RunEnvironment, Workload
from orchestrator.runs.record import RecordContext, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.assets.store import Stored
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds import recipes
    from orchestrator.definitions.kinds.recipes import Asset, Benchmark, Dataset, Model, Target
    from orchestrator.engines import EngineFacts, ImageFacts
    from orchestrator.facts.build import BuildPlan
    from orchestrator.facts.devices import FoundDevice
    from orchestrator.facts.host import HostFacts
    from orchestrator.facts.rounds import OfficialTest
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


def selection_of(context: Context, request: RunRequest, chosen: TargetChoice) -> Selection:
    """The images that a run needs: of the benchmarks that are named or of the suite, else of the target's default ones.

    Raises `UsageError` for names that do not exist or do not fit each other, `NothingSelectedError`
    where the target has no default benchmark.
    """
    target = chosen.name
    names = list(dict.fromkeys(request.benchmarks))
    if request.suite:
        names = list(chosen_of_suite(context.catalog, request, target).names)
    changes = changes_of(context, request, names)
    catalog = context.catalog_for(names, changes)
    for name in names:
        framework_of(catalog, target=target, benchmark=name)
    if not names:
        names = [name for name in benchmarks_of(catalog, target) if catalog.benchmark(name).definition.default]
    if not names:
        raise NothingSelectedError(
            f"no benchmark runs on target `{target}` by default",
            hint="name one: see `mlorch benchmarks list`",
        )
    for name in names:
        what = benchmark_in(catalog, name, request.round).definition
        cells(request, what)
        _require_official(catalog, request, what)
        if request.official:
            require_rules(catalog.benchmark(name))
    return Selection(
        target=target,
        benchmarks=tuple(names),
        arch=request.arch,
        base_source=request.base_source,
        round=request.round,
        changes=changes,
    )


def _require_official(catalog: Catalog, request: RunRequest, what: Benchmark) -> None:
    """Whether --official can be meant. Raises `UsageError`: `unknown-round`, `official-duration`."""
    if not request.official:
        return
    rules = _official_test(catalog, what)
    if rules is None:
        raise UsageError(
            f"there is no round `{what.round}`, so nothing says what --official asks of {what.name}",
            hint=f"name one with --round: {', '.join(round_names(catalog)) or 'none is defined'}",
            slug="unknown-round",
        )
    shortest = request.min_duration_ms
    if shortest is not None and shortest < rules.min_duration_ms:
        raise UsageError(
            f"--official needs a duration of at least {rules.min_duration_ms / 1000:g} s, as {rules.round} has it",
            hint="leave --duration out",
            slug="official-duration",
        )


def _official_test(catalog: Catalog, what: Benchmark) -> OfficialTest | None:
    if ("round", what.round) not in catalog.by_key:
        return None
    return catalog.round_rules(what.round).official(what.stands_for)


def planned_for(
    context: Context, selection: Selection, plans: Sequence[BuildPlan], *, official: bool
) -> tuple[PlannedBenchmark, ...]:
    """The workloads of ``plans``, as the selection wants its benchmarks: `planned_benchmarks`."""
    catalog = context.catalog_for(selection.benchmarks, selection.changes)
    return planned_benchmarks(catalog, plans, selection.round, official=official)


def planned_benchmarks(
    catalog: Catalog, plans: Sequence[BuildPlan], round_name: str = "", *, official: bool = True
) -> tuple[PlannedBenchmark, ...]:
    """The workloads of ``plans`` by the rules of a round (empty: their own); their asset folders are not known yet.

    ``official`` says that what the round asks of a test is wanted: reading a round takes its time.
    """
    return tuple(_planned_benchmark(catalog, plan, round_name, official=official) for plan in plans)


def _planned_benchmark(catalog: Catalog, plan: BuildPlan, round_name: str, *, official: bool) -> PlannedBenchmark:
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
        arch=plan.arch,
        loadgen_model=_loadgen_model(catalog, what),
        official=_official_test(catalog, what) if official else None,
        parameters=_parameters(benchmark),
        servers={name: catalog.server(name).definition for name in what.server_names},
        program_id=program_id(plan),
    )
    return PlannedBenchmark(workload=workload, plan=plan, benchmark=benchmark, model=model, dataset=dataset)


def _loadgen_model(catalog: Catalog, what: Benchmark) -> str:
    """What LoadGen calls the model that a benchmark stands for in its round; empty where it stands for none."""
    if not what.stands_for:
        return ""
    return catalog.round_rules(what.round).models[what.stands_for].loadgen_name or ""


def _parameters(benchmark: Entry[Benchmark]) -> dict[str, ChosenParameter]:
    """The harness's parameters that a benchmark sets, each with who said so."""
    sources = benchmark.variation.sources if benchmark.variation is not None else {}
    return {
        name: ChosenParameter(value=text, source=sources.get(f"parameters.{name}", "recipe"))
        for name, text in benchmark.definition.parameters.items()
    }


def with_assets(
    planned: PlannedBenchmark, get: Callable[[Entry[Asset]], Stored], *, with_model: bool = True
) -> PlannedBenchmark:
    """``planned`` with its dataset and, unless it is behind an endpoint, its model on this host.

    Raises `StepFailed` for a folder that is missing.
    """
    model, dataset = (get(planned.model) if with_model else None), get(planned.dataset)
    for stored in filter(None, (model, dataset)):
        if not stored.folder.is_dir():  # an engine would make an empty one
            raise StepFailed(
                f"the host folder {stored.folder} does not exist, so it cannot be mounted",
                hint="it was removed while mlorch ran; fetch it again with `mlorch assets get`",
                slug="missing-path",
            )
    workload = replace(
        planned.workload,
        dataset=_with_hashes(planned.workload.dataset, dataset),
        model_folder=NO_FOLDER if model is None else str(model.folder),
        dataset_folder=str(dataset.folder),
        model_bytes=0 if model is None else model.size,
        dataset_bytes=dataset.size,
    )
    return replace(planned, workload=workload)


def _with_hashes(made: Dataset, stored: Stored) -> Dataset:
    """A data set that is made of a folder of the user's, with the hashes of what was made of it."""
    tree = find_tree(stored.path) if made.beside is not None else None
    if tree is None:
        return made
    outputs = tuple(each.model_copy(update={"sha256": tree.hashes[each.path]}) for each in made.outputs)
    return made.model_copy(update={"outputs": outputs})


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
    return cells_of(
        benchmark.scenarios,
        asked=request.scenarios,
        mode=request.mode,
        every_accuracy=request.official,
        benchmark=benchmark.name,
    )


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
    from orchestrator.operations.targets import device_inventory, pretended

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
        cpus=parse_cpus(request.cpus),
        limits=limits,
    )


def _devices(context: Context, request: RunRequest, target: Target) -> tuple[FoundDevice, ...]:
    """The devices that a run may mean: the target's, and of every target where one is named by UUID or address."""
    from orchestrator.host.accelerators import found_devices
    from orchestrator.operations.target_choice import all_targets

    targets = all_targets(context.catalog) if ":" in request.devices else (target,)
    return tuple(device for each in targets for device in found_devices(each, context.machine))


def with_scoring(
    request: RunRequest,
    selection: Selection,
    planned: Sequence[PlannedBenchmark],
    image_of: Callable[[Selection], str],
) -> tuple[PlannedBenchmark, ...]:
    """The workloads with the image that counts their accuracy, where one does and ``request`` asks for an accuracy.

    ``image_of`` gives the side image of a selection, built or only planned.
    """

    def needs(one: PlannedBenchmark) -> bool:
        what = one.workload.benchmark
        wanted = any(cell.mode == "accuracy" for cell in cells(request, what))
        return wanted and is_scored(what, one.workload.harness)

    if not any(needs(one) for one in planned):
        return tuple(planned)
    image = image_of(selection.beside(SCORING_LAYER))
    return tuple(
        replace(one, workload=replace(one.workload, scoring_image=image)) if needs(one) else one for one in planned
    )


def with_server_images(
    selection: Selection, planned: Sequence[PlannedBenchmark], image_of: Callable[[Selection], str]
) -> tuple[PlannedBenchmark, ...]:
    """The workloads with the images of the servers that their roles name; ``image_of`` as in `with_scoring`.

    Raises `UsageError` (`no-server-image`) for a server that the target has no image of.
    """
    found: dict[str, str] = {}

    def image(server: recipes.Server, target: str) -> str:
        layer = server.images.get(target)
        if layer is None:
            raise UsageError(
                f"server `{server.name}` has no image for target `{target}`",
                hint=f"it has one for {', '.join(server.images)}; `mlorch recipes show` has the benchmark's choices",
                slug="no-server-image",
            )
        if layer not in found:
            found[layer] = image_of(selection.beside(layer))
        return found[layer]

    def with_images(one: PlannedBenchmark) -> PlannedBenchmark:
        load = one.workload
        images = {name: image(server, load.target.name) for name, server in load.servers.items()}
        if not images:
            return one
        probes = "" if load.harness.program is None else image_of(selection.beside(PROBES))
        return replace(one, workload=replace(load, server_images=images, probes_image=probes))

    return tuple(with_images(one) for one in planned)


def step_of(planned: PlannedBenchmark, environment: RunEnvironment, cell: Cell, choices: Choices) -> RunStep:
    """One test, with a fresh run id."""
    identifier = run_id(stamp(), planned.plan.benchmark, planned.plan.target, cell, secrets.token_hex(2))
    return plan_run(planned.workload, environment, cell, identifier, choices)


def stamp() -> str:
    """Now, as run ids begin: ``20261124T014100Z``."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """The tests of a request on this host: all that a dry run needs."""

    request: RunRequest
    planned: tuple[PlannedBenchmark, ...]
    environment: RunEnvironment
    tuned: Mapping[str, Tuned]

    def tests(self) -> Iterator[tuple[PlannedBenchmark, Cell]]:
        """Every test in order, accuracy of a benchmark first."""
        for planned in self.planned:
            for cell in cells(self.request, planned.workload.benchmark):
                yield planned, cell

    def step(self, planned: PlannedBenchmark, cell: Cell, **changes: object) -> RunStep:
        """One test of ``planned``, with a fresh id; ``changes`` replace fields of its choices."""
        request, tuned = self.request, self.stored(planned, cell.scenario)
        choices = Choices(
            min_duration_ms=request.min_duration_ms,
            official=request.official,
            target_qps=request.target_qps,
            # What this system stored for exactly this image.
            system={} if tuned is None else tuned.settings,
        )
        parameters = changes.pop("parameters", {} if tuned is None else tuned.parameters)
        planned = with_parameters(planned, parameters)  # type: ignore[arg-type]
        return step_of(planned, self.environment, cell, replace(choices, **changes))  # type: ignore[arg-type]

    def stored(self, planned: PlannedBenchmark, scenario: str) -> Tuned | None:
        """What `--find` or `tune` stored for a scenario on this system, with exactly this image and these devices.

        Of an endpoint nothing, as it is another system.
        """
        from orchestrator.runs.tuning import key_of, tuned_for

        if self.request.endpoint:
            return None
        plan = planned.plan
        key = key_of(plan.benchmark, plan.target, scenario, self.request.devices)
        return tuned_for(self.tuned, key=key, content_id=plan.layers[-1].content_id)


def with_parameters(planned: PlannedBenchmark, found: Mapping[str, str]) -> PlannedBenchmark:
    """``planned`` with parameters that this system stored; what the command line says stays."""
    workload = planned.workload
    if not found:
        return planned
    chosen = {name: ChosenParameter(value=value, source="system") for name, value in found.items()}
    said = {name: each for name, each in workload.parameters.items() if each.source == "command line"}
    return replace(planned, workload=replace(workload, parameters={**workload.parameters, **chosen, **said}))


# -- what the records of a run tell beyond its steps ---------------------------------------


def new_session() -> str:
    """A name that no other request has."""
    return f"{stamp()}-{secrets.token_hex(2)}"


def session_of(request: RunRequest, host: HostFacts, engine: EngineFacts, key: str = "") -> Session:
    """What all records of this request share, without secrets; ``key`` is an endpoint's."""
    hidden = (*((key,) if key else ()), *secret_values(os.environ))
    facts = asdict(engine)
    for private in ("host", "root_dir"):  # paths of this machine say nothing about a result
        facts.pop(private, None)
    return Session(
        name=request.session or new_session(),
        owner=this_process(),
        mlorch_version=__version__,
        command_line=redacted_argv(request.to_argv(), hidden),
        engine=facts,
        host=asdict(host),
        secrets=hidden,
    )


def record_context(planned: PlannedBenchmark, image: ImageFacts | None) -> RecordContext:
    """What the record tells of the benchmark beyond its step."""
    what = planned.workload.benchmark
    layers = tuple(
        LayerId(name=layer.name, level=layer.level, content_id=layer.content_id) for layer in planned.plan.layers
    )
    goals = tuple(_goal(goal) for goal in what.accuracy.goals)
    changed = changed_rules(planned.benchmark)
    sbom, provenance = _document_digests(planned, image)
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
        dataset=_dataset_id(planned.workload.dataset),
        accuracy_goal=goals[0],
        other_goals=goals[1:],
        title=what.title,
        stands_for=what.stands_for,
        round=what.round,
        note=what.note,
        changed_rules=changed,
    )


def _goal(goal: recipes.AccuracyGoal) -> AccuracyGoal:
    return AccuracyGoal(
        metric=goal.metric,
        unit=goal.unit,
        reference=goal.reference,
        factor=goal.factor,
        max_factor=goal.max_factor,
    )


def _document_digests(planned: PlannedBenchmark, image: ImageFacts | None) -> tuple[str, str]:
    """The digests of SBOM and provenance of the image that runs; empty where its own is not known."""
    if image is None or not image.digest:
        return "", ""
    from orchestrator.images.attest.documents import digests
    from orchestrator.images.attest.subject import subject_of

    return digests(subject_of(planned.plan, planned.plan.layers[-1], image.digest, planned.benchmark.sha256))


def _asset_id(kind: str, asset: Asset, trained_by: str) -> AssetId:
    licences = []
    for source in asset.sources:
        licences.append(LicenceFact(source=source_words(source), spdx=source.licence.spdx, note=source.licence.note))
    return AssetId(
        kind=kind,
        name=asset.name,
        files={out.path: out.sha256 for out in asset.outputs},
        title=asset.title,
        trained_by=trained_by,
        licences=tuple(licences),
    )


def _dataset_id(dataset: Dataset) -> AssetId:
    return replace(_asset_id("dataset", dataset, ""), label_names=dataset.label_names, not_shown=why_not_shown(dataset))
