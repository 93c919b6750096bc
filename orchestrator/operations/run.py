"""The order of a run: choose, check, build, fetch, run. Checks come before anything is made."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import MlorchError, StepFailed
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.operations import run_plan
from orchestrator.operations.run_plan import PlannedRun, record_context, session_of
from orchestrator.operations.run_processors import check_processors, with_processors
from orchestrator.operations.run_rates import lacks_rate, measured_rate, next_settings, rate_from
from orchestrator.operations.target_choice import require_host
from orchestrator.plan.run.settings import Choices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.definitions.catalog import Entry
    from orchestrator.definitions.kinds.recipes import Asset
    from orchestrator.engines import Engine, EngineFacts, ImageFacts
    from orchestrator.engines.printers import Printer
    from orchestrator.facts.record import RateSearch
    from orchestrator.facts.runs import RunStep
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import Progress, Talk
    from orchestrator.operations.run_endpoint import ReadyEndpoint
    from orchestrator.operations.run_plan import PlannedBenchmark
    from orchestrator.operations.run_prepares import PlannedPrepare
    from orchestrator.operations.run_request import RunRequest
    from orchestrator.plan.run.cells import Cell
    from orchestrator.results.summary import Summary
    from orchestrator.runs.record import RecordContext
    from orchestrator.runs.runner import Outcome, Runner, Watcher

    Limits = Mapping[str, int | None]

MORE_TRIES = 2
"""How often a test is repeated at another rate where the rate was a guess."""
WARM_AFTER_S = 0.5
"""Seconds until the first container is up: mlorch itself has nothing to do then."""
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
        about = self.record_contexts[planned.plan.benchmark]
        about = replace(about, note=note or about.note, search=search)
        return self.runner.run(step, about, number=number, total=total)


def run(context: Context, request: RunRequest, progress: Progress, watcher: Watcher) -> Iterator[Summary]:
    """Run everything that ``request`` asks for; yields the summary of each test as it ends, its report written.

    A test that fails or is INVALID has a summary that says so. Raises whatever stops the whole
    (`MlorchError`); a Ctrl-C or SIGTERM as `InterruptedRun`, with its record written.
    """
    from orchestrator.host.process import signals_interrupt, this_user
    from orchestrator.operations.run_endpoint import ready_endpoint

    with signals_interrupt(), ready_endpoint(request, this_user().inside) as endpoint:
        prepared = prepare(context, request, progress, watcher, endpoint)
        with with_processors(prepared, progress) as ready:
            _warm_report_later()
            try:
                for outcome in outcomes(ready):
                    summary = _reported(outcome)
                    ready.runner.engine.wait_removed()
                    yield summary
            finally:
                ready.runner.kept.end()
                ready.runner.engine.wait_removed()


def _warm_report_later() -> None:
    """Have what reports are made with at hand when the first test ends; by then its harness is still loading."""
    from orchestrator.results.report import warm

    timer = threading.Timer(WARM_AFTER_S, warm)
    timer.daemon = True
    timer.start()


def _reported(outcome: Outcome) -> Summary:
    """The summary of a test, with its report written; a report that cannot be made spoils no result."""
    from orchestrator.results.store import REPORT
    from orchestrator.results.summary import summarise

    summary = summarise(outcome.record, outcome.folder)
    write_report(outcome.folder / REPORT, [summary])
    return summary


def write_report(path: Path, summaries: Sequence[Summary]) -> Path | None:
    """The page of these tests at ``path``, which becomes the user's; None where it cannot be made."""
    from orchestrator.host.files import atomic_write_text
    from orchestrator.host.left_behind import give
    from orchestrator.host.process import this_user
    from orchestrator.results.report import render

    with contextlib.suppress(MlorchError, OSError):
        # Whatever a container put there is replaced.
        atomic_write_text(path, render(summaries), overwrite=True)
        give(path, this_user().owner)
        return path
    return None


def last_of_each_test(done: Sequence[Summary]) -> tuple[Summary, ...]:
    """Of tests that were tried again at a lower rate the last try: what counts for the exit status."""
    return tuple({(one.record.benchmark, one.record.scenario, one.record.mode): one for one in done}.values())


def outcomes(prepared: PreparedRun) -> Iterator[Outcome]:
    """The tests of a prepared run, in order."""
    if prepared.request.find:
        from orchestrator.operations.run_find import find_all

        yield from find_all(prepared)
        return
    tests = list(prepared.tests())
    for number, (planned, cell) in enumerate(tests, 1):
        yield from _tries(prepared, planned, cell, number=number, total=len(tests))


def _tries(
    prepared: PreparedRun, planned: PlannedBenchmark, cell: Cell, *, number: int, total: int
) -> Iterator[Outcome]:
    """One test, and again with another rate or latency where a guessed one was wrong."""
    changes: dict[str, Any] = {}
    if lacks_rate(prepared, planned, cell):
        probe = measured_rate(prepared, planned)
        rate = rate_from(probe, cell.scenario)
        if rate is None:  # the test itself would end as this one did
            yield probe
            return
        changes = {"calibrated": {"target_qps": rate}}
    for _ in range(1 + MORE_TRIES):
        outcome = prepared.run(planned, cell, number=number, total=total, **changes)
        yield outcome
        settings = next_settings(outcome)
        if not settings:
            return
        changes = settings


# -- before the first test -------------------------------------------------------------------


def prepare(
    context: Context,
    request: RunRequest,
    progress: Progress,
    watcher: Watcher,
    ready: ReadyEndpoint | None = None,
) -> PreparedRun:
    """Check, then build and fetch what is missing. What cannot work is told before anything is made."""
    from orchestrator.host.facts import host_facts
    from orchestrator.host.folders import data_home
    from orchestrator.operations.assets.provider import asset_provider, kept_in_use
    from orchestrator.results.store import Store
    from orchestrator.runs.ceilings import Ceilings, ceilings_file
    from orchestrator.runs.runner import Runner
    from orchestrator.runs.sweep import sweep
    from orchestrator.runs.tuning import load, tuning_file

    run_plan.require_results_folder(request.results)
    with ThreadPoolExecutor(max_workers=1) as pool:
        # The engine takes its time to answer; meanwhile this thread plans.
        asked = pool.submit(_ask_engine, context)
        chosen = context.target(request.target, arch=request.arch)
        selection = run_plan.selection_of(context, request, chosen)
        planned = run_plan.planned_for(context, selection, context.plans(selection).plans, official=request.official)
        require_host(context, chosen, progress)
        host = host_facts()
        context.engine_factory.warm()
        engine, facts, limits = asked.result()
    store = Store(request.results.absolute())
    for run_id in sweep(engine):
        progress.warn(f"removed the container of {run_id}, whose mlorch is gone")
    store.sweep()
    endpoint, key = (None, "") if ready is None else (ready.endpoint, ready.key)
    environment = run_plan.run_environment(context, request, chosen, host, facts, limits)
    check_processors(environment, progress)
    environment = replace(environment, endpoint=endpoint)
    planned = run_plan.with_server_images(selection, planned, lambda side: context.plans(side).plans[0].image)
    for one in planned:  # without its assets: limits, groups, devices and memory are checked so
        run_plan.step_of(one, environment, run_plan.cells(request, one.workload.benchmark)[0], Choices())
    provider = asset_provider(
        context,
        progress,
        target=chosen.name,
        base_source=request.base_source,
        pull_policy=request.pull_policy,
        data=request.data,
        devices=request.devices,
    )
    # What cannot be had, or does not fit on the disk, is told before anything is built.
    has_model = endpoint is None
    wanted = [entry for one in planned for entry in ((one.model, one.dataset) if has_model else (one.dataset,))]
    provider.require_obtainable(wanted)
    planned, images = _with_images(context, request, selection, planned, progress)

    def built(side: Selection) -> str:
        from orchestrator.operations.build import build_images

        plans, _ = build_images(context, side, progress, pull_policy=request.pull_policy)
        return plans[0].image

    planned = run_plan.with_scoring(request, selection, planned, built)
    planned = run_plan.with_server_images(selection, planned, built)
    planned = tuple(
        run_plan.with_assets(one, lambda entry: kept_in_use(provider.get(entry)), with_model=has_model)
        for one in planned
    )
    Path(environment.artifacts).mkdir(parents=True, exist_ok=True)
    _require_disk(request)
    prepared = PreparedRun(
        request=request,
        planned=planned,
        environment=environment,
        tuned=load(tuning_file(data_home(), host.system_id)),
        record_contexts={one.plan.benchmark: record_context(one, images.get(one.plan.image)) for one in planned},
        runner=Runner(
            engine=engine,
            store=store,
            session=session_of(request, host, facts, key),
            watcher=watcher,
            ceilings=Ceilings(path=ceilings_file(data_home(), host.system_id), engine=engine),
        ),
    )
    if request.find:
        say_what_is_not_searched(prepared, progress)
    return prepared


def say_what_is_not_searched(planned: PlannedRun, talk: Talk) -> None:
    """What --find does of a scenario whose rate nobody sets."""
    cells = [cell for _, cell in planned.tests() if cell.mode == "performance"]
    names = dict.fromkeys(cell.scenario for cell in cells if not SCENARIOS[cell.scenario].has_searched_rate)
    if names:
        talk.say(f"no rate to search in {', '.join(names)}: run once; later runs expect what that measures")


def _ask_engine(context: Context) -> tuple[Engine, EngineFacts, Limits]:
    """The engine, what it says of itself, and the most that it can give of each limit (empty: not known)."""
    engine = context.engine
    return engine, engine.facts(), engine.daemon_limits()


def _with_images(
    context: Context,
    request: RunRequest,
    selection: Selection,
    planned: tuple[PlannedBenchmark, ...],
    progress: Progress,
) -> tuple[tuple[PlannedBenchmark, ...], Mapping[str, ImageFacts]]:
    """``planned`` with images that are there (another base source changes their ids), and their facts."""
    look_up = context.look_up()
    found = look_up([one.plan.image for one in planned])
    policy = request.pull_policy
    asked = policy.pull or policy.images or context.settings.images
    if asked or any(facts is None for facts in found.values()):
        from orchestrator.operations.build import build_images

        plans, _ = build_images(context, selection, progress, pull_policy=policy)
        planned = run_plan.planned_for(context, selection, plans, official=request.official)
        found = look_up([one.plan.image for one in planned])
    return planned, {image: facts for image, facts in found.items() if facts is not None}


def _require_disk(request: RunRequest) -> None:
    """Too little space below results is told before the first test."""
    from orchestrator.runs.failures import free_bytes

    folder = request.results if request.results.exists() else request.results.absolute().parent
    free = free_bytes(folder)
    if free < LEAST_DISK:
        raise StepFailed(
            f"only {free / 2**20:.0f} MiB are free below {folder}; a run needs {LEAST_DISK // 2**20} MiB",
            hint="free some space there, or put results elsewhere with -o",
            slug="disk-full",
        )


# -- the dry run -----------------------------------------------------------------------------


def dry_run(context: Context, request: RunRequest) -> tuple[RunStep, ...]:
    """The tests that would run, in order; no network, nothing written, and no engine unless devices are passed.

    Raises `UsageError` and `DefinitionError` as the run itself, for a pull policy that cannot be kept too.
    """
    from orchestrator.host.facts import host_facts
    from orchestrator.host.folders import data_home
    from orchestrator.operations.assets.provider import given_folders, planned_folder
    from orchestrator.operations.pull_policy import image_sources
    from orchestrator.operations.run_endpoint import planned_endpoint
    from orchestrator.runs.tuning import load, tuning_file

    chosen = context.target(request.target, arch=request.arch)
    selection = run_plan.selection_of(context, request, chosen)
    image_sources(context, request.pull_policy, context.talk)
    given, host = given_folders(context, request.data), host_facts()

    def planned_image(side: Selection) -> str:
        return context.plans(side).plans[0].image

    def folder(entry: Entry[Asset]) -> str:
        return str(planned_folder(context, entry, given))

    planned = tuple(
        replace(
            one,
            workload=replace(one.workload, model_folder=folder(one.model), dataset_folder=folder(one.dataset)),
        )
        for one in run_plan.planned_for(context, selection, context.plans(selection).plans, official=request.official)
    )
    planned = run_plan.with_scoring(request, selection, planned, planned_image)
    planned = run_plan.with_server_images(selection, planned, planned_image)
    engine = None
    if not context.catalog.target(chosen.name).definition.passthrough.empty:
        with contextlib.suppress(MlorchError):  # where one answers, it decides how devices are passed
            engine = context.engine.facts()
    environment = run_plan.run_environment(context, request, chosen, host, engine, {}, dry=True)
    check_processors(environment, context.talk)
    run = PlannedRun(
        request=request,
        planned=planned,
        environment=replace(environment, endpoint=planned_endpoint(request)),
        tuned=load(tuning_file(data_home(), host.system_id)),
    )
    if request.find:
        say_what_is_not_searched(run, context.talk)
    return tuple(run.step(one, cell) for one, cell in run.tests())


def dry_run_document(
    steps: Sequence[RunStep], printer: Printer, prepares: Sequence[PlannedPrepare] = ()
) -> dict[str, object]:
    """The JSON of a dry run: each container's argv and what its harness would be told, and what is prepared before."""
    from orchestrator.operations.run_prepares import prepares_document

    return {
        "prepares": prepares_document(prepares, printer) if prepares else [],
        "containers": [
            {
                "run_id": step.run_id,
                "image": step.image,
                "argv": printer.argv(container),
                "notes": list(printer.notes(container)),
                "settings": dict(step.settings),
                "provenance": dict(step.provenance),
                "devices": asdict(step.device_injection),
                "deviations": list(step.deviations),
            }
            for step in steps
            for container in step.containers
        ],
    }
