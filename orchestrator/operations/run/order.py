"""The tests of a run in their order, each tried again where a guessed rate was wrong, each with its report."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.errors import MlorchError
from orchestrator.operations.run.compared import ComparedRuns
from orchestrator.operations.run.prepared import PreparedRun, prepare
from orchestrator.operations.run.processors import with_processors
from orchestrator.operations.run.rates import lacks_rate, measured_rate, next_settings, rate_from
from orchestrator.operations.signing import record_signing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Progress, Talk
    from orchestrator.operations.run.benchmarks import PlannedBenchmark
    from orchestrator.operations.run.processors import HeldProcessors
    from orchestrator.operations.run.request import RunRequest
    from orchestrator.plan.run.cells import Cell
    from orchestrator.results.store import Store
    from orchestrator.results.summary import Summary
    from orchestrator.runs.runner import Outcome, Watcher

MORE_TRIES = 2
"""How often a test is repeated at another rate where the rate was a guess."""
WARM_AFTER_S = 0.5
"""Seconds until the first container is up: mlorch itself has nothing to do then."""


def run(
    context: Context,
    request: RunRequest,
    progress: Progress,
    watcher: Watcher,
    held: HeldProcessors | None = None,
) -> Iterator[Summary]:
    """Run everything that ``request`` asks for; yields the summary of each test as it ends, its report written.

    ``held`` has the processors where other runs come before it and after it.
    A test that fails or is INVALID, or whose record cannot be signed, has a summary that says so. Raises whatever
    stops the whole (`MlorchError`); a Ctrl-C or SIGTERM as `InterruptedRun`, with its record written.
    """
    from orchestrator.host.process import this_user
    from orchestrator.host.signals import signals_interrupt
    from orchestrator.operations.run.endpoint import ready_endpoint

    sign = record_signing(request.sign_key)
    with signals_interrupt(), ready_endpoint(request, this_user().inside) as endpoint:
        prepared = prepare(context, request, progress, watcher, endpoint)
        with with_processors(prepared, progress, held) as ready:
            _warm_report_later()
            try:
                for outcome in outcomes(ready, progress):
                    summary = _signed(_reported(outcome, ready.runner.store), sign, progress)
                    ready.runner.engine.wait_removed()
                    yield summary
            finally:
                ready.runner.kept.end()
                ready.runner.engine.wait_removed()


def _signed(summary: Summary, sign: Callable[[Path], object], talk: Talk) -> Summary:
    """The summary of a test with its record signed; what stands in the way is told, and stops no other test."""
    try:
        sign(summary.folder)
    except (MlorchError, OSError) as error:
        why = error.message if isinstance(error, MlorchError) else error.strerror or str(error)
        talk.warn(f"{summary.record.run_id} is not signed: {why}; `mlorch results sign` signs it later")
        return replace(summary, unsigned=why)
    return summary


def _warm_report_later() -> None:
    """Have what reports are made with at hand when the first test ends; by then its harness is still loading."""
    from orchestrator.results.report import warm

    timer = threading.Timer(WARM_AFTER_S, warm)
    timer.daemon = True
    timer.start()


def _reported(outcome: Outcome, store: Store) -> Summary:
    """The summary of a test, with its report written and its hash kept; one that cannot be made spoils no result."""
    from orchestrator.facts.containers import RECORD
    from orchestrator.host.left_behind import give
    from orchestrator.host.process import this_user
    from orchestrator.results.store import REPORT
    from orchestrator.results.summary import summarise
    from orchestrator.runs.folder import with_report

    summary = summarise(outcome.record, outcome.folder)
    if write_report(outcome.folder / REPORT, [summary]) is not None:
        with contextlib.suppress(MlorchError, OSError):
            store.finish(with_report(outcome.record, outcome.folder))
            give(outcome.folder / RECORD, this_user().owner)
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
    return tuple({(one.record.benchmark, one.record.scenario, one.record.test_name): one for one in done}.values())


def outcomes(prepared: PreparedRun, talk: Talk) -> Iterator[Outcome]:
    """The tests of a prepared run, in order."""
    if prepared.request.find:
        from orchestrator.operations.run.find import find_all

        yield from find_all(prepared, talk)
        return
    tests = list(prepared.tests())
    runs = ComparedRuns(dict(prepared.compared))
    for run in prepared.compared.values():
        talk.say(f"compared with the {run.mode} test {run.run_id}, which counts and has run before")
    for number, (planned, cell) in enumerate(tests, 1):
        if cell.test is None:
            for outcome in _tries(prepared, planned, cell, number=number, total=len(tests)):
                runs.note(planned, cell, outcome)
                yield outcome
            continue
        compared = runs.of_test(planned, cell.test, cell.scenario)
        if compared.missing:
            talk.warn(f"{cell.test.name} of {planned.plan.benchmark} {cell.scenario} is not made: {compared.missing}")
        else:
            yield prepared.run(planned, cell, number=number, total=len(tests), compared=compared.runs)


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
    for already in range(1 + MORE_TRIES):
        outcome = prepared.run(planned, cell, number=number, total=total, **changes)
        yield outcome
        settings = next_settings(outcome, already)
        if not settings:
            return
        changes = settings
