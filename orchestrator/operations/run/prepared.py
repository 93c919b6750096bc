"""A run before its first test: everything checked, then images built and assets fetched."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import StepFailed, UsageError
from orchestrator.operations.run.benchmarks import planned_for, with_assets, with_scoring, with_server_images
from orchestrator.operations.run.compared import with_stored_runs
from orchestrator.operations.run.compliance import say_what_is_left_out, with_compliance
from orchestrator.operations.run.plan import PlannedRun, run_environment, say_what_is_not_searched, step_of
from orchestrator.operations.run.power import with_power
from orchestrator.operations.run.processors import check_processors
from orchestrator.operations.run.records import record_context, session_of
from orchestrator.operations.run.selection import cells, selection_of
from orchestrator.operations.target_choice import require_host
from orchestrator.plan.run.devices.nodes import doubtful_nodes
from orchestrator.plan.run.settings import Choices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.assets.store import Stored
    from orchestrator.definitions.catalog import Entry
    from orchestrator.definitions.kinds.assets import Asset
    from orchestrator.engines import Engine, ImageFacts
    from orchestrator.facts.host import HostFacts
    from orchestrator.facts.record import RateSearch
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import Progress
    from orchestrator.operations.run.benchmarks import PlannedBenchmark
    from orchestrator.operations.run.endpoint import ReadyEndpoint
    from orchestrator.operations.run.request import RunRequest
    from orchestrator.plan.run.cells import Cell
    from orchestrator.plan.run.workload import RunEnvironment
    from orchestrator.results.store import Store
    from orchestrator.runs.record import RecordContext, Session
    from orchestrator.runs.runner import Outcome, Runner, Watcher

LEAST_DISK = 64 * 2**20
"""Bytes that must be free below results: an accuracy log and a detail log of the largest default test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun(PlannedRun):
    """Images, assets and engine are there; only the tests are left to run."""

    record_contexts: Mapping[str, RecordContext]
    runner: Runner

    def run(
        self,
        planned: PlannedBenchmark,
        cell: Cell,
        *,
        number: int = 1,
        total: int = 0,
        note: str = "",
        search: RateSearch | None = None,
        **changes: Any,
    ) -> Outcome:
        """Run one test; ``changes`` as `step`, a ``total`` of 0 says that nobody knows how many there will be.

        ``note`` stands in the record in place of the benchmark's, ``search`` where the rate was searched.
        """
        step = self.step(planned, cell, **changes)
        context = self.record_contexts[planned.plan.benchmark]
        context = replace(context, note=note or context.note, search=search)
        return self.runner.run(step, context, number=number, total=total)


def prepare(
    context: Context,
    request: RunRequest,
    progress: Progress,
    watcher: Watcher,
    ready: ReadyEndpoint | None = None,
) -> PreparedRun:
    """Check, then build and fetch what is missing. What cannot work is told before anything is made."""
    from orchestrator.engines.limits import not_held
    from orchestrator.host.facts import host_facts
    from orchestrator.operations.run.findings import findings

    require_results_folder(request.results)
    answers = context.engine_answers  # asked here at the latest; while the engine answers this thread plans
    chosen = context.target(request.target, arch=request.arch)
    selection = selection_of(context, request, chosen)
    planned = planned_for(context, selection, context.plans(selection).plans, request)
    say_what_is_left_out(request, planned, progress)
    require_host(context, chosen, progress)
    host = host_facts()
    context.engine_factory.warm()
    engine, facts, limits = answers.result()
    store = _swept_store(request, engine, progress)
    endpoint, key = (None, "") if ready is None else (ready.endpoint, ready.key)
    environment = run_environment(context, request, chosen, host, facts, limits)
    check_processors(environment, progress)
    if why := not_held(facts):
        progress.warn(why)
    for words in doubtful_nodes(context.catalog.target(chosen.name).definition.passthrough, environment.devices):
        progress.warn(words)
    environment = replace(environment, endpoint=endpoint)
    _require_plans(context, request, selection, planned, environment)
    has_model = endpoint is None
    get = _obtainable(context, request, chosen.name, planned, progress, with_model=has_model)
    planned, images = _with_images(context, request, selection, planned, progress)
    planned = tuple(with_assets(one, get, with_model=has_model) for one in planned)
    Path(environment.artifacts).mkdir(parents=True, exist_ok=True)
    _require_disk(request)
    prepared = PreparedRun(
        request=request,
        planned=planned,
        environment=environment,
        tuned=findings(request, host),
        record_contexts={one.plan.benchmark: record_context(one, images.get(one.plan.image)) for one in planned},
        runner=_runner(engine, store, session_of(request, host, facts, key), watcher, host),
    )
    if request.find:
        say_what_is_not_searched(prepared, progress)
    return with_stored_runs(prepared)


def _runner(engine: Engine, store: Store, session: Session, watcher: Watcher, host: HostFacts) -> Runner:
    from orchestrator.host.folders import data_home
    from orchestrator.runs.ceilings import Ceilings, ceilings_file
    from orchestrator.runs.runner import Runner

    ceilings = Ceilings(path=ceilings_file(data_home(), host.system_id), engine=engine)
    return Runner(engine=engine, store=store, session=session, watcher=watcher, ceilings=ceilings)


def _swept_store(request: RunRequest, engine: Engine, progress: Progress) -> Store:
    """The folder of results; what killed runs left there and on the engine is cleared away first."""
    from orchestrator.results.store import Store
    from orchestrator.runs.sweep import sweep_and_warn

    sweep_and_warn(engine, progress.warn)
    store = Store(request.results.absolute())
    store.sweep()
    return store


def _require_plans(
    context: Context,
    request: RunRequest,
    selection: Selection,
    planned: Sequence[PlannedBenchmark],
    environment: RunEnvironment,
) -> None:
    """Whether a test of each benchmark can be planned, without its assets: limits, groups, devices, memory, images."""
    for one in with_server_images(selection, planned, lambda side: context.plans(side).plans[0].image):
        step_of(one, environment, cells(request, one.workload.benchmark, one.workload.compliance)[0], Choices())


def _obtainable(
    context: Context,
    request: RunRequest,
    target: str,
    planned: Sequence[PlannedBenchmark],
    progress: Progress,
    *,
    with_model: bool,
) -> Callable[[Entry[Asset]], Stored]:
    """What gets the assets of ``planned``. What cannot be had, or does not fit on the disk, is told already here."""
    from orchestrator.operations.assets.provider import asset_provider, kept_in_use

    provider = asset_provider(
        context,
        progress,
        target=target,
        base_source=request.base_source,
        pull_policy=request.pull_policy,
        data=request.data,
        devices=request.devices,
    )
    wanted: list[Entry[Asset]] = []
    for one in planned:
        wanted += (one.model, one.dataset) if with_model else (one.dataset,)
    provider.require_obtainable(wanted)
    return lambda entry: kept_in_use(provider.get(entry))


def _with_images(
    context: Context,
    request: RunRequest,
    selection: Selection,
    planned: tuple[PlannedBenchmark, ...],
    progress: Progress,
) -> tuple[tuple[PlannedBenchmark, ...], Mapping[str, ImageFacts]]:
    """``planned`` with images that are there, those of scoring and of servers too; and the facts of their own."""

    def built(side: Selection) -> str:
        from orchestrator.operations.build import build_images

        plans, _ = build_images(context, side, progress, pull_policy=request.pull_policy)
        return plans[0].image

    planned, facts = _with_own_images(context, request, selection, planned, progress)
    planned = with_compliance(context.catalog, selection, planned, built)
    planned = with_power(context.catalog, request, selection, planned, built)
    planned = with_scoring(request, selection, planned, built)
    return with_server_images(selection, planned, built), facts


def _with_own_images(
    context: Context,
    request: RunRequest,
    selection: Selection,
    planned: tuple[PlannedBenchmark, ...],
    progress: Progress,
) -> tuple[tuple[PlannedBenchmark, ...], Mapping[str, ImageFacts]]:
    """``planned`` with its benchmarks' images there (another base source changes their ids), and their facts."""
    look_up = context.look_up()
    found = look_up([one.plan.image for one in planned])
    policy = request.pull_policy
    asked = policy.pull or policy.images or context.settings.images
    if asked or any(facts is None for facts in found.values()):
        from orchestrator.operations.build import build_images

        plans, _ = build_images(context, selection, progress, pull_policy=policy)
        planned = planned_for(context, selection, plans, request)
        found = look_up([one.plan.image for one in planned])
    return planned, {image: facts for image, facts in found.items() if facts is not None}


def _require_disk(request: RunRequest) -> None:
    """Too little space below results is told before the first test."""
    from orchestrator.runs.failures import free_bytes

    folder = request.results if request.results.exists() else request.results.resolve().parent
    free = free_bytes(folder)
    if free is not None and free < LEAST_DISK:
        raise StepFailed(
            f"only {free / 2**20:.0f} MiB are free below {folder}; a run needs {LEAST_DISK // 2**20} MiB",
            hint="free some space there, or put results elsewhere with -o",
            slug="disk-full",
        )


def require_results_folder(results: Path) -> None:
    """The folder of results may be new, but not its parents: a mistyped path must not make a tree."""
    folder = results if results.exists() else results.resolve().parent
    if not folder.is_dir():
        raise UsageError(
            f"the folder {folder} does not exist, so results cannot be kept in {results}",
            hint="make it, or name another folder with -o",
            slug="missing-path",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"results cannot be written to {folder}", hint="name another folder with -o", slug="write")
