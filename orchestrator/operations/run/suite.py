"""`mlorch run --suite`: the benchmarks of a suite one after the other, in one session, with one report of all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orchestrator.errors import DefinitionError, HostLimitError, MlorchError, StepFailed, UsageError
from orchestrator.operations.run.order import run, write_report
from orchestrator.operations.run.processors import HeldProcessors
from orchestrator.operations.run.records import new_session
from orchestrator.operations.run.selection import selection_of
from orchestrator.operations.suites import benchmarks_of_suite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Progress
    from orchestrator.operations.run.request import RunRequest
    from orchestrator.operations.suites import Chosen
    from orchestrator.results.summary import Summary
    from orchestrator.runs.runner import Watcher


@dataclass(slots=True, kw_only=True)
class SuiteRun:
    """A run of a suite: what is left out is known before; what failed, and the report, when it has ended."""

    context: Context
    request: RunRequest
    chosen: Chosen
    failed: list[tuple[str, MlorchError]] = field(default_factory=list)
    """Benchmarks that could not be run to their end, each with what stopped it."""
    report: Path | None = None

    def run(self, progress: Progress, watcher: Watcher) -> Iterator[Summary]:
        """The summary of each test as it ends. A benchmark that cannot be run stops no other one.

        Raises what is of the host or the user, and would stop the others too: no engine (`EngineError`), Ctrl-C.
        """
        for each in self.chosen.left_out:
            progress.warn(f"{each.benchmark} is left out: {each.reason}")
        done: list[Summary] = []
        session, names = new_session(), self.chosen.names
        try:
            with HeldProcessors() as held:
                for number, name in enumerate(names, 1):
                    progress.say(f"{self.chosen.suite} {number}/{len(names)}: {name}")
                    for summary in self._benchmark(name, session, progress, watcher, held):
                        done.append(summary)
                        yield summary
        finally:
            if done:
                self.report = write_report(self.request.results / f"report-{session}.html", done)

    def _benchmark(
        self, name: str, session: str, progress: Progress, watcher: Watcher, held: HeldProcessors
    ) -> Iterator[Summary]:
        request = replace(self.request, suite="", benchmarks=(name,), session=session)
        try:
            yield from run(self.context, request, progress, watcher, held)
        except (StepFailed, UsageError, DefinitionError, HostLimitError) as error:
            self.failed.append((name, error))
            progress.warn(f"{name} did not run to its end: {error.message} [{error.slug}]")

    def document(self) -> dict[str, Any]:
        """What the JSON of such a run has beside ``results``."""
        return {
            "suite": self.chosen.suite,
            "left_out": [{"benchmark": each.benchmark, "reason": each.reason} for each in self.chosen.left_out],
            "failed": [
                {"benchmark": name, "slug": error.slug, "message": error.message, "hint": error.hint}
                for name, error in self.failed
            ],
            "report": None if self.report is None else str(self.report),
        }


def suite_run(context: Context, request: RunRequest) -> SuiteRun:
    """The run of a suite, checked before anything is made.

    Raises `UsageError` and `NothingSelectedError` as `benchmarks_of_suite` and `selection_of`.
    """
    target = context.target(request.target, arch=request.arch)
    chosen = benchmarks_of_suite(context.catalog, request, target.name)
    selection_of(context, request, target)
    return SuiteRun(context=context, request=replace(request, target=target.name), chosen=chosen)
