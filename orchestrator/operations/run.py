"""The order of a run: choose, check, build, fetch, run, report. Checks come before anything is made."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from orchestrator.commands.pulling import DEFAULT_PULL_POLICY, PullPolicy
from orchestrator.errors import MlorchError, StepFailed
from orchestrator.operations import run_plan
from orchestrator.operations.run_plan import AssetPlace, PlannedBenchmark, Request
from orchestrator.plan.run.settings import Choices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchestrator.console import Console
    from orchestrator.definitions.catalog import Entry
    from orchestrator.definitions.kinds.recipes import Target
    from orchestrator.engines import Engine, EngineFacts, ImageFacts
    from orchestrator.engines.printers import Printer
    from orchestrator.facts.steps import RunStep
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection
    from orchestrator.plan.run.planner import Cell, RunEnvironment
    from orchestrator.results.summary import Summary
    from orchestrator.runs.record import RecordContext
    from orchestrator.runs.runner import Outcome, Runner
    from orchestrator.runs.tuning import Tuned

T = TypeVar("T")
_ASKING = threading.Lock()
"""Two threads that import the same large package at once may each meet half of it."""
SLOWER_TRIES = 2
"""How often a Server test is repeated at half the rate where the rate was a guess of the harness."""
LEAST_DISK = 64 * 2**20
"""Bytes that must be free below results: an accuracy log and a detail log of the largest default test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun:
    """Everything is there: images, assets, engine; only the tests are left to run."""

    request: Request
    planned: tuple[PlannedBenchmark, ...]
    record_contexts: Mapping[str, RecordContext]
    environment: RunEnvironment
    tuned: Mapping[str, Tuned]
    runner: Runner

    def step(self, planned: PlannedBenchmark, cell: Cell, **changes: object) -> tuple[RunStep, RecordContext]:
        """One test of ``planned``, with a fresh id; ``changes`` replace fields of its choices."""
        choices = run_plan.choices_for(self.request, planned, cell, self.tuned)
        step = run_plan.step_of(planned, self.environment, cell, replace(choices, **changes))  # type: ignore[arg-type]
        return step, self.record_contexts[planned.plan.benchmark]


def perform(
    context: Context,
    request: Request,
    console: Console,
    *,
    done: list[Summary],
    pull_policy: PullPolicy = DEFAULT_PULL_POLICY,
) -> None:
    """Run everything that ``request`` asks for; ``done`` grows by each test's summary as it ends.

    Raises whatever stops the whole (`MlorchError`); a test that fails is in ``done``.
    """
    from orchestrator.commands.run_view import RunView
    from orchestrator.host.process import signals_interrupt

    with signals_interrupt(), RunView(console) as view:
        prepared = prepare(context, request, console, pull_policy=pull_policy)
        prepared = replace(prepared, runner=replace(prepared.runner, watcher=view))
        for outcome in _outcomes(prepared):
            done.append(_reported(outcome))  # noqa: PERF401 (each at once: what ended is shown after Ctrl-C)


def _outcomes(prepared: PreparedRun) -> Iterator[Outcome]:
    if prepared.request.find:
        from orchestrator.operations.run_find import find_all

        yield from find_all(prepared)
        return
    tests = [
        (planned, cell)
        for planned in prepared.planned
        for cell in run_plan.cells(prepared.request, planned.workload.benchmark)
    ]
    for number, (planned, cell) in enumerate(tests, 1):
        rate: dict[str, float] = {}
        for _ in range(1 + SLOWER_TRIES):
            step = prepared.step(planned, cell, **({"calibrated": rate} if rate else {}))
            outcome = prepared.runner.run(*step, number=number, total=len(tests))
            yield outcome
            slower = _slower(outcome)
            if slower is None:
                break
            rate = {"target_qps": slower}


def _slower(outcome: Outcome) -> float | None:
    """Half the rate of a Server test that was INVALID at a rate which the harness itself had guessed, else None.

    The guess is a share of what was measured in two seconds before the test; on a machine
    that others use it can be too high. A rate that somebody asked for is never changed.
    """
    from orchestrator.operations.run_find import effective_rate

    record = outcome.record
    setting = record.settings.get("loadgen.target_qps")
    guessed = setting is not None and setting.source == "calibrated"
    if outcome.error is not None or record.scenario != "Server" or record.valid is not False or not guessed:
        return None
    rate = effective_rate(outcome)
    return None if rate is None else rate / 2


def prepare(
    context: Context, request: Request, console: Console, *, pull_policy: PullPolicy = DEFAULT_PULL_POLICY
) -> PreparedRun:
    """Check, then build and fetch what is missing. What cannot work is told before anything is made."""
    from orchestrator.host.facts import host_facts
    from orchestrator.host.folders import data_home
    from orchestrator.operations.host_ready import require_host
    from orchestrator.results.measure import measure
    from orchestrator.results.store import Store
    from orchestrator.runs.runner import Runner, Watcher
    from orchestrator.runs.sweep import sweep
    from orchestrator.runs.tuning import load, tuning_file

    run_plan.require_results_place(request.results)
    asked = Ahead(lambda: _ask_engine(context))
    planned = select(context, request)
    require_host(context.catalog, planned[0].plan.target, console, chosen=request.target is None)
    host, store = host_facts(), Store(request.results.absolute())
    engine, facts, limits = asked.result()
    for swept in sweep(engine, store):
        console.warn(f"removed the container of {swept.run_id}, whose mlorch is gone")
    environment = run_plan.run_environment(request, host, planned, facts, limits, others=_others(context, request))
    preflight(request, planned, environment)
    planned, images = _with_images(context, request, planned, console, pull_policy)
    place = asset_place(context, request, console, pull_policy)
    planned = tuple(run_plan.with_assets(one, place) for one in planned)
    make_folder(environment.artifacts)
    require_disk(request)
    runner = Runner(
        engine=engine,
        store=store,
        session=run_plan.session_of(host, facts),
        measure=measure,
        watcher=Watcher(),
    )
    return PreparedRun(
        request=request,
        planned=planned,
        record_contexts={
            one.plan.benchmark: run_plan.record_context(one, images.get(one.plan.image)) for one in planned
        },
        environment=environment,
        tuned=load(tuning_file(data_home(), host.system_id)),
        runner=runner,
    )


def select(context: Context, request: Request) -> tuple[PlannedBenchmark, ...]:
    """The benchmarks of the request with their plans; raises `UsageError` for names that are not there."""
    target = request.target or context.detected_target()
    context.catalog.target(target)
    names = run_plan.names_of(context.catalog, request, target)
    for name in names:
        run_plan.cells(request, context.catalog.benchmark(name).definition)  # type: ignore[arg-type]
    plans = context.plans(_selection(request, target, names)).plans
    return run_plan.choose(context, target, plans)


def _selection(request: Request, target: str, names: Sequence[str]) -> Selection:
    from orchestrator.operations.kept_plans import Selection

    return Selection(
        target=target,
        benchmarks=tuple(names),
        platform=request.platform,
        arch=request.arch,
        base_source=request.base_source,
        locked=request.locked,
    )


def preflight(request: Request, planned: Sequence[PlannedBenchmark], environment: RunEnvironment) -> None:
    """Plan one test of each benchmark without its assets: limits, groups, devices and memory are checked so."""
    for one in planned:
        cell = run_plan.cells(request, one.workload.benchmark)[0]
        run_plan.step_of(one, environment, cell, Choices())


def _ask_engine(context: Context) -> tuple[Engine, EngineFacts, Mapping[str, int | None]]:
    """The engine, what it says of itself, and the most that it can give of each limit (empty: not known)."""
    with _ASKING:
        engine = context.engine
        return engine, engine.facts(), engine.daemon_limits()


class Ahead(Generic[T]):
    """Something that takes its time elsewhere (an engine's answers), begun while this thread works on."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._do, daemon=True)
        self._thread.start()

    def _do(self) -> None:
        try:
            self._found.append(self._work())
        except BaseException as exc:  # noqa: BLE001 (raised again by `result`, in the thread that wants it)
            self._error = exc

    def result(self) -> T:
        """What the work gave; raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found[0]


def _with_images(
    context: Context, request: Request, planned: tuple[PlannedBenchmark, ...], console: Console, pull_policy: PullPolicy
) -> tuple[tuple[PlannedBenchmark, ...], Mapping[str, ImageFacts]]:
    """``planned`` with images that are there (another base source changes their ids), and their facts."""
    look_up = context.look_up()
    found = look_up([one.plan.image for one in planned])
    if pull_policy.images or context.settings.images or any(facts is None for facts in found.values()):
        from orchestrator.commands.build import build_images

        target = planned[0].plan.target
        names = [one.plan.benchmark for one in planned]
        plans, _ = build_images(context, _selection(request, target, names), console, pull_policy=pull_policy)
        planned = run_plan.choose(context, target, plans)
        found = look_up([one.plan.image for one in planned])
    return planned, {image: facts for image, facts in found.items() if facts is not None}


def asset_place(
    context: Context, request: Request, console: Console, pull_policy: PullPolicy = DEFAULT_PULL_POLICY
) -> Callable[[Entry], AssetPlace]:
    """Fetches and prepares an asset where it is not cached; gives its folder and size."""
    from orchestrator.operations.asset_provider import asset_provider

    provider = asset_provider(
        context, console, target=request.target, base_source=request.base_source, pull_policy=pull_policy
    )

    def place(entry: Entry) -> AssetPlace:
        stored = provider.get(entry)
        return AssetPlace(folder=str(stored.folder), size=stored.size)

    return place


def make_folder(path: str) -> None:
    """A folder of our own cache."""
    from pathlib import Path

    Path(path).mkdir(parents=True, exist_ok=True)


def require_disk(request: Request) -> None:
    """Too little space below results is told before the first test."""
    from orchestrator.runs.failures import free_bytes

    place = request.results if request.results.exists() else request.results.absolute().parent
    free = free_bytes(place)
    if free < LEAST_DISK:
        raise StepFailed(
            f"only {free / 2**20:.0f} MiB are free below {place}; a run needs {LEAST_DISK // 2**20} MiB",
            hint="free some space there, or put results elsewhere with -o",
            slug="disk-full",
        )


def _reported(outcome: Outcome) -> Summary:
    """The summary of a test, with its report written; a report that cannot be made spoils no result."""
    from orchestrator.host.files import atomic_write_text
    from orchestrator.results.report import render
    from orchestrator.results.store import REPORT
    from orchestrator.results.summary import summarise

    summary = summarise(outcome.record, outcome.folder)
    with contextlib.suppress(MlorchError, OSError):
        atomic_write_text(outcome.folder / REPORT, render([summary]))
    return summary


def dry_steps(context: Context, request: Request) -> list[RunStep]:
    """The tests that would run, in order; no network, nothing written, and no engine unless devices are passed."""
    from orchestrator.assets.store import Store, definition_of, key_of
    from orchestrator.host.facts import host_facts
    from orchestrator.host.folders import cache_home, data_home
    from orchestrator.runs.tuning import load, tuning_file

    planned = select(context, request)
    host = host_facts()
    facts, others = _facts_for_dry_run(context, planned), _others(context, request)
    environment = run_plan.run_environment(request, host, planned, facts, {}, dry=True, others=others)
    tuned = load(tuning_file(data_home(), host.system_id))
    assets = Store(cache_home())

    def place(entry: Entry) -> str:
        return str(assets.place(definition_of(entry), key_of(entry, context.catalog)) / "files")

    steps = []
    for one in planned:
        workload = replace(one.workload, model_folder=place(one.model), dataset_folder=place(one.dataset))
        known = replace(one, workload=workload)
        steps += [
            run_plan.step_of(known, environment, cell, run_plan.choices_for(request, known, cell, tuned))
            for cell in run_plan.cells(request, one.workload.benchmark)
        ]
    return steps


def _others(context: Context, request: Request) -> Sequence[Target]:
    """Every target, where devices are named by UUID or address: they may be those of another."""
    from orchestrator.commands.targets import all_targets

    return all_targets(context.catalog) if ":" in request.devices else ()


def _facts_for_dry_run(context: Context, planned: Sequence[PlannedBenchmark]) -> EngineFacts | None:
    """The engine's facts where devices are to be passed and an engine answers: it decides how they are."""
    if all(one.workload.target.passthrough.empty for one in planned):
        return None
    try:
        return context.engine.facts()
    except MlorchError:
        return None


def dry_document(steps: Sequence[RunStep], show: Printer) -> dict[str, object]:
    """The JSON of a dry run: each container's argv and what its harness would be told."""
    return {
        "containers": [
            {
                "run_id": step.run_id,
                "image": step.image,
                "argv": show.argv(step.container),
                "notes": list(show.notes(step.container)),
                "settings": dict(step.settings),
                "provenance": dict(step.provenance),
                "devices": asdict(step.device_injection),
            }
            for step in steps
        ]
    }
