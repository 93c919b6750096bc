"""The order of a run: choose, check, build, fetch, run, report. Checks come before anything is made."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import asdict, dataclass, replace
from typing import Generic, TypeVar

from orchestrator.commands import run_plan
from orchestrator.commands.pulling import ANY, Wish
from orchestrator.commands.run_plan import AssetPlace, Chosen, Request
from orchestrator.errors import MlorchError, StepFailed
from orchestrator.plan_settings import Choices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchestrator.catalog import Entry
    from orchestrator.commands.wiring import Workbench
    from orchestrator.compiled import Selection
    from orchestrator.console import Console
    from orchestrator.engines import Engine, EngineFacts, ImageFacts
    from orchestrator.execute.record_of import About
    from orchestrator.execute.run import Outcome, Runner
    from orchestrator.launchers import Printer
    from orchestrator.model.definitions import Target
    from orchestrator.model.steps import RunStep
    from orchestrator.plan_run import Cell, Site
    from orchestrator.results.summary import Summary
    from orchestrator.tuning import Tuned

T = TypeVar("T")
_ASKING = threading.Lock()
"""Two threads that import the same large package at once may each meet half of it."""
SLOWER_TRIES = 2
"""How often a Server test is repeated at half the rate where the rate was a guess of the harness."""
LEAST_DISK = 64 * 2**20
"""Bytes that must be free below results: an accuracy log and a detail log of the largest default test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Everything is there: images, assets, engine; only the tests are left to run."""

    request: Request
    chosen: tuple[Chosen, ...]
    abouts: Mapping[str, About]
    site: Site
    tuned: Mapping[str, Tuned]
    runner: Runner

    def step(self, chosen: Chosen, cell: Cell, **changes: object) -> tuple[RunStep, About]:
        """One test of ``chosen``, with a fresh id; ``changes`` replace fields of its choices."""
        choices = run_plan.choices_for(self.request, chosen, cell, self.tuned)
        step = run_plan.step_of(chosen, self.site, cell, replace(choices, **changes))  # type: ignore[arg-type]
        return step, self.abouts[chosen.plan.benchmark]


def perform(bench: Workbench, request: Request, console: Console, *, done: list[Summary], wish: Wish = ANY) -> None:
    """Run everything that ``request`` asks for; ``done`` grows by each test's summary as it ends.

    Raises whatever stops the whole (`MlorchError`); a test that fails is in ``done``.
    """
    from orchestrator.commands.run_view import RunView
    from orchestrator.system.process import signals_interrupt

    with signals_interrupt(), RunView(console) as view:
        ready = prepare(bench, request, console, wish=wish)
        ready = replace(ready, runner=replace(ready.runner, watcher=view))
        for outcome in _outcomes(ready):
            done.append(_reported(outcome))  # noqa: PERF401 (each at once: what ended is shown after Ctrl-C)


def _outcomes(ready: Ready) -> Iterator[Outcome]:
    if ready.request.find:
        from orchestrator.commands.run_find import find_all

        yield from find_all(ready)
        return
    tests = [
        (chosen, cell) for chosen in ready.chosen for cell in run_plan.cells(ready.request, chosen.workload.benchmark)
    ]
    for number, (chosen, cell) in enumerate(tests, 1):
        rate: dict[str, float] = {}
        for _ in range(1 + SLOWER_TRIES):
            step = ready.step(chosen, cell, **({"calibrated": rate} if rate else {}))
            outcome = ready.runner.run(*step, number=number, total=len(tests))
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
    from orchestrator.commands.run_find import effective_rate

    record = outcome.record
    setting = record.settings.get("loadgen.target_qps")
    guessed = setting is not None and setting.source == "calibrated"
    if outcome.error is not None or record.scenario != "Server" or record.valid is not False or not guessed:
        return None
    rate = effective_rate(outcome)
    return None if rate is None else rate / 2


def prepare(bench: Workbench, request: Request, console: Console, *, wish: Wish = ANY) -> Ready:
    """Check, then build and fetch what is missing. What cannot work is told before anything is made."""
    from orchestrator.commands.host_ready import require_host
    from orchestrator.execute.run import Runner, Watcher
    from orchestrator.execute.sweep import sweep
    from orchestrator.results.store import Store
    from orchestrator.results.summary import verdict
    from orchestrator.system.host import host_facts
    from orchestrator.system.places import data_home
    from orchestrator.tuning import load, tuning_file

    run_plan.require_results_place(request.results)
    asked = Ahead(lambda: _ask_engine(bench))
    chosen = select(bench, request)
    require_host(bench.catalog, chosen[0].plan.target, console, chosen=request.target is None)
    host, store = host_facts(), Store(request.results.absolute())
    engine, facts, limits = asked.result()
    for swept in sweep(engine, store):
        console.warn(f"removed the container of {swept.run_id}, whose mlorch is gone")
    site = run_plan.site_of(request, host, chosen, facts, limits, others=_others(bench, request))
    preflight(request, chosen, site)
    chosen, images = _with_images(bench, request, chosen, console, wish)
    place = asset_place(bench, request, console, wish)
    chosen = tuple(run_plan.with_assets(one, place) for one in chosen)
    make_folder(site.artifacts)
    require_disk(request)
    runner = Runner(
        engine=engine,
        store=store,
        session=run_plan.session_of(host, facts),
        verdict=verdict,
        watcher=Watcher(),
    )
    return Ready(
        request=request,
        chosen=chosen,
        abouts={one.plan.benchmark: run_plan.about(one, images.get(one.plan.image)) for one in chosen},
        site=site,
        tuned=load(tuning_file(data_home(), host.system_id)),
        runner=runner,
    )


def select(bench: Workbench, request: Request) -> tuple[Chosen, ...]:
    """The benchmarks of the request with their plans; raises `UsageError` for names that are not there."""
    target = request.target or bench.detected_target()
    bench.catalog.target(target)
    names = run_plan.names_of(bench.catalog, request, target)
    for name in names:
        run_plan.cells(request, bench.catalog.benchmark(name).definition)  # type: ignore[arg-type]
    plans = bench.plans(_selection(request, target, names)).plans
    return run_plan.choose(bench, target, plans)


def _selection(request: Request, target: str, names: Sequence[str]) -> Selection:
    from orchestrator.compiled import Selection

    return Selection(
        target=target,
        benchmarks=tuple(names),
        platform=request.platform,
        arch=request.arch,
        base_source=request.base_source,
        locked=request.locked,
    )


def preflight(request: Request, chosen: Sequence[Chosen], site: Site) -> None:
    """Plan one test of each benchmark without its assets: limits, groups, devices and memory are checked so."""
    for one in chosen:
        cell = run_plan.cells(request, one.workload.benchmark)[0]
        run_plan.step_of(one, site, cell, Choices())


def _ask_engine(bench: Workbench) -> tuple[Engine, EngineFacts, Mapping[str, int | None]]:
    """The engine, what it says of itself, and the most that it can give of each limit (empty: not known)."""
    with _ASKING:
        engine = bench.engine
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
    bench: Workbench, request: Request, chosen: tuple[Chosen, ...], console: Console, wish: Wish
) -> tuple[tuple[Chosen, ...], Mapping[str, ImageFacts]]:
    """``chosen`` with images that are there (another base source changes their ids), and their facts."""
    look_up = bench.look_up()
    found = look_up([one.plan.image for one in chosen])
    if wish.images or bench.settings.images or any(facts is None for facts in found.values()):
        from orchestrator.commands.build import build_images

        target = chosen[0].plan.target
        names = [one.plan.benchmark for one in chosen]
        plans, _ = build_images(bench, _selection(request, target, names), console, wish=wish)
        chosen = run_plan.choose(bench, target, plans)
        found = look_up([one.plan.image for one in chosen])
    return chosen, {image: facts for image, facts in found.items() if facts is not None}


def asset_place(
    bench: Workbench, request: Request, console: Console, wish: Wish = ANY
) -> Callable[[Entry], AssetPlace]:
    """Fetches and prepares an asset where it is not cached; gives its folder and size."""
    from orchestrator.commands.larder import larder

    pantry = larder(bench, console, target=request.target, base_source=request.base_source, wish=wish)

    def place(entry: Entry) -> AssetPlace:
        stored = pantry.get(entry)
        return AssetPlace(folder=str(stored.folder), size=stored.size)

    return place


def make_folder(path: str) -> None:
    """A folder of our own cache."""
    from pathlib import Path

    Path(path).mkdir(parents=True, exist_ok=True)


def require_disk(request: Request) -> None:
    """Too little space below results is told before the first test."""
    from orchestrator.execute.run import free_bytes

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
    from orchestrator.results.report import render
    from orchestrator.results.store import REPORT
    from orchestrator.results.summary import summarise
    from orchestrator.system.files import atomic_write_text

    summary = summarise(outcome.record, outcome.folder)
    with contextlib.suppress(MlorchError, OSError):
        atomic_write_text(outcome.folder / REPORT, render([summary]))
    return summary


def dry_steps(bench: Workbench, request: Request) -> list[RunStep]:
    """The tests that would run, in order; no network, nothing written, and no engine unless devices are passed."""
    from orchestrator.assets.store import Store, definition_of, key_of
    from orchestrator.system.host import host_facts
    from orchestrator.system.places import cache_home, data_home
    from orchestrator.tuning import load, tuning_file

    chosen = select(bench, request)
    host = host_facts()
    facts, others = _facts_for_dry_run(bench, chosen), _others(bench, request)
    site = run_plan.site_of(request, host, chosen, facts, {}, dry=True, others=others)
    tuned = load(tuning_file(data_home(), host.system_id))
    assets = Store(cache_home())

    def place(entry: Entry) -> str:
        return str(assets.place(definition_of(entry), key_of(entry, bench.catalog)) / "files")

    steps = []
    for one in chosen:
        workload = replace(one.workload, model_folder=place(one.model), dataset_folder=place(one.dataset))
        known = replace(one, workload=workload)
        steps += [
            run_plan.step_of(known, site, cell, run_plan.choices_for(request, known, cell, tuned))
            for cell in run_plan.cells(request, one.workload.benchmark)
        ]
    return steps


def _others(bench: Workbench, request: Request) -> Sequence[Target]:
    """Every target, where devices are named by UUID or address: they may be those of another."""
    from orchestrator.commands.targets import all_targets

    return all_targets(bench.catalog) if ":" in request.devices else ()


def _facts_for_dry_run(bench: Workbench, chosen: Sequence[Chosen]) -> EngineFacts | None:
    """The engine's facts where devices are to be passed and an engine answers: it decides how they are."""
    if all(one.workload.target.passthrough.empty for one in chosen):
        return None
    try:
        return bench.engine.facts()
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
                "devices": asdict(step.passage),
            }
            for step in steps
        ]
    }
