"""What a compliance test is compared with: results of before that count, else the tests that run before it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from orchestrator.definitions.catalog.judged import changed_rules
from orchestrator.facts.compliance import MODE, ComparedRun
from orchestrator.plan.run.compared import compared_files, is_same_test, settings_that_ran
from orchestrator.results.store import Store
from orchestrator.results.summary import summarise
from orchestrator.runs.verification import changed_logs

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.facts.compliance import ComplianceTest
    from orchestrator.facts.record import RunRecord
    from orchestrator.facts.runs import RunStep
    from orchestrator.operations.run.benchmarks import PlannedBenchmark
    from orchestrator.operations.run.plan import PlannedRun
    from orchestrator.plan.run.cells import Cell
    from orchestrator.runs.runner import Outcome

    Key = tuple[str, str, str]
    """Of a test: benchmark, scenario, mode."""

AnyRun = TypeVar("AnyRun", bound="PlannedRun")


def key_of(planned: PlannedBenchmark, cell: Cell) -> Key:
    return planned.plan.benchmark, cell.scenario, cell.mode


def with_stored_runs(run: AnyRun) -> AnyRun:
    """A run in compliance mode with the results of before that its tests can be compared with; others as they are."""
    if run.request.mode != MODE:
        return run
    return replace(run, compared=stored_runs(run))


def stored_runs(run: PlannedRun) -> dict[Key, ComparedRun]:
    """The newest result of before for each test that a compliance test of ``run`` is compared with.

    Only one that counts, of exactly the same recipe, image, model, data and settings, whose logs are those that were
    recorded.
    """
    found: dict[Key, ComparedRun] = {}
    entries = Store(run.request.results.absolute()).entries()
    for planned, cell in run.tests():
        if cell.test is not None:
            continue
        step = run.step(planned, cell)
        for entry in entries:
            record = entry.record
            if record is None or not _same_rules(record, planned) or not is_same_test(record, step):
                continue
            if _counts(record, entry.folder):
                found[key_of(planned, cell)] = _compared(record, entry.folder, stored=True)
                break
    return found


def _same_rules(record: RunRecord, planned: PlannedBenchmark) -> bool:
    """Whether a result is of this recipe, with the same of its rules changed by `--set`."""
    benchmark = planned.benchmark
    return record.recipe.sha256 == benchmark.sha256 and record.changed_rules == changed_rules(benchmark)


def _counts(record: RunRecord, folder: Path) -> bool:
    return summarise(record, folder).good and not changed_logs(_compared(record, folder, stored=True))


def _compared(record: RunRecord, folder: Path, *, stored: bool) -> ComparedRun:
    return ComparedRun(
        mode=record.mode,
        run_id=record.run_id,
        folder=str(folder),
        settings=settings_that_ran(record),
        files=compared_files(record),
        stored=stored,
    )


@dataclass(slots=True)
class ComparedRuns:
    """The results that compliance tests are compared with, as tests end."""

    found: dict[Key, ComparedRun] = field(default_factory=dict)
    ended: dict[Key, Outcome] = field(default_factory=dict)

    def note(self, planned: PlannedBenchmark, cell: Cell, outcome: Outcome) -> None:
        """A test ended; the last try of one counts."""
        self.ended[key_of(planned, cell)] = outcome

    def planned(self, planned: PlannedBenchmark, cell: Cell, step: RunStep, results: str) -> None:
        """A test is planned and has not run: what it will reach is not known."""
        run = ComparedRun(mode=cell.mode, run_id=step.run_id, folder=f"{results}/{step.run_id}")
        self.found[key_of(planned, cell)] = run

    def of_test(self, planned: PlannedBenchmark, test: ComplianceTest, scenario: str) -> Comparable:
        """What a compliance test is compared with, and why some of it cannot be."""
        runs: list[ComparedRun] = []
        missing: list[str] = []
        for mode in test.compared_with:
            key = (planned.plan.benchmark, scenario, mode)
            outcome = self.ended.get(key)
            if outcome is not None:
                summary = summarise(outcome.record, outcome.folder)
                if summary.good:
                    runs.append(_compared(outcome.record, outcome.folder, stored=False))
                else:
                    missing.append(f"its {mode} test is {summary.verdict}")
            elif key in self.found:
                runs.append(self.found[key])
            else:
                missing.append(f"there is no {mode} test to compare it with")
        return Comparable(runs=tuple(runs), missing="; ".join(missing))


class Comparable(NamedTuple):
    """The tests that a compliance test is compared with; ``missing`` says what is not there, empty where all are."""

    runs: tuple[ComparedRun, ...]
    missing: str
