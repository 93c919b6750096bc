"""The benchmarks of a run with everything that their recipes name: model, data, images, servers and parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.assets.trees import find_tree
from orchestrator.errors import StepFailed
from orchestrator.facts.roles import PROBES
from orchestrator.operations.run.compliance import demand_of
from orchestrator.operations.run.selection import cells, official_test
from orchestrator.plan.build.content import program_id
from orchestrator.plan.build.frameworks import benchmark_in
from orchestrator.plan.run.scoring import LAYER as SCORING_LAYER
from orchestrator.plan.run.scoring import is_scored
from orchestrator.plan.run.workload import ChosenParameter, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.assets.store import Stored
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.assets import Asset, Dataset, Model
    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.definitions.kinds.servers import Server
    from orchestrator.facts.build import BuildPlan
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.run.request import RunRequest

NO_FOLDER = "/not/known/yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBenchmark:
    """A benchmark with everything that its recipe names, and the plan of its image."""

    workload: Workload
    plan: BuildPlan
    benchmark: Entry[Benchmark]
    model: Entry[Model]
    dataset: Entry[Dataset]


def planned_for(
    context: Context, selection: Selection, plans: Sequence[BuildPlan], request: RunRequest
) -> tuple[PlannedBenchmark, ...]:
    """The workloads of ``plans``, as a request wants its benchmarks, with the compliance tests that it asks for."""
    catalog = context.catalog_for(selection.benchmarks, selection.changes)
    planned = planned_benchmarks(catalog, plans, selection.round, official=request.official)
    if not request.wants_compliance:
        return planned
    demands = [demand_of(catalog, request, one.workload.benchmark) for one in planned]
    return tuple(
        replace(one, workload=replace(one.workload, compliance=demand))
        for one, demand in zip(planned, demands, strict=True)
    )


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
        official=official_test(catalog, what) if official else None,
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
        wanted = any(cell.mode == "accuracy" for cell in cells(request, what, one.workload.compliance))
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
    """The workloads with the images of the servers that their roles name; ``image_of`` as in `with_scoring`."""
    found: dict[str, str] = {}

    def image(server: Server, target: str) -> str:
        layer = server.images[target]  # the benchmark would not run on the target otherwise
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


def with_parameters(planned: PlannedBenchmark, found: Mapping[str, str]) -> PlannedBenchmark:
    """``planned`` with parameters that this system stored; what the command line says stays."""
    workload = planned.workload
    if not found:
        return planned
    chosen = {name: ChosenParameter(value=value, source="system") for name, value in found.items()}
    said = {name: each for name, each in workload.parameters.items() if each.source == "command line"}
    return replace(planned, workload=replace(workload, parameters={**workload.parameters, **chosen, **said}))
