"""`mlorch tune`: search a harness's declared parameters, keep every trial, and the best where the next run finds it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.errors import NothingSelectedError, UsageError
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.operations.run.findings import what_ran
from orchestrator.operations.run.processors import with_processors
from orchestrator.operations.tune_study import Study, Tuning
from orchestrator.plan.run.cells import duration_ms
from orchestrator.plan.run.tunables import searched_parameters
from orchestrator.runs.trials import Trial, load, trials_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Progress
    from orchestrator.operations.run.benchmarks import PlannedBenchmark
    from orchestrator.operations.run.prepared import PreparedRun
    from orchestrator.operations.run.request import RunRequest
    from orchestrator.plan.run.cells import Cell
    from orchestrator.runs.runner import Watcher

TRIALS = 20
"""By default, for each scenario."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much may be tried: trials for each scenario, and a time for all of them (``10m``; None: no limit)."""

    trials: int = TRIALS
    time: str | None = None
    seed: int = 1

    def checked(self) -> Budget:
        """Raises `UsageError` for what is no budget."""
        if self.trials < 1:
            raise UsageError("--trials: one at least is needed", hint="leave it out for 20 of each scenario")
        if self.time is not None:
            duration_ms(self.time)
        return self

    @property
    def seconds(self) -> float:
        return float("inf") if self.time is None else duration_ms(self.time) / 1000


def tune(
    context: Context, request: RunRequest, budget: Budget, progress: Progress, watcher: Watcher
) -> Iterator[Tuning]:
    """Search for each scenario of the request; yields what was tried as each ends.

    Raises `NothingSelectedError` where no parameter is declared, and whatever stops a run.
    """
    from orchestrator.host.signals import signals_interrupt
    from orchestrator.operations.run.prepared import prepare

    budget = budget.checked()
    if request.endpoint:
        raise UsageError(
            "what is behind an endpoint cannot be tuned: it is not mlorch that starts it",
            hint="`mlorch run --endpoint … --find` searches the rate that it takes",
            slug="endpoint",
        )
    with signals_interrupt():
        prepared = prepare(context, request, progress, watcher)
        studies = _studies(prepared, progress)
        with with_processors(prepared, progress) as ready:
            end = time.monotonic() + budget.seconds
            try:
                for study in studies:
                    yield replace(study, prepared=ready).run(budget.trials, budget.seed, end)
            finally:
                ready.runner.kept.end()


def _studies(prepared: PreparedRun, progress: Progress) -> list[Study]:
    """A search for each test that has something to search. Raises `NothingSelectedError` where none has."""
    cells = [(one, cell) for one, cell in prepared.tests() if cell.mode == "performance"]
    measurable = [(one, cell) for one, cell in cells if _measurable(one, cell, prepared.request, progress)]
    studies = [_study(prepared, planned, cell) for planned, cell in measurable]
    found = [study for study in studies if study.parameters]
    if not found:
        raise NothingSelectedError(
            "no parameter of these tests may be searched",
            hint="a harness's recipe declares them: `tunables`, or `tune` of a program's parameter",
        )
    return found


def tried(home: Path, system_id: str, benchmarks: tuple[str, ...] = ()) -> list[Tuning]:
    """What this system tried and what it keeps, by scenario and image; of the named benchmarks, or of all."""
    from orchestrator.runs.tuning import load as load_tuned
    from orchestrator.runs.tuning import tuning_file

    kept = load_tuned(tuning_file(home, system_id))
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in load(trials_file(home, system_id)):
        groups.setdefault((trial.key, trial.content_id), []).append(trial)
    found = []
    for (key, content_id), trials in groups.items():
        if key.count("/") < 2:  # a line that somebody else wrote
            continue
        benchmark, target, scenario, *devices = key.split("/", 3)
        tuned = kept.get(key)
        if tuned is not None and (tuned.content_id != content_id or tuned.by != "tune"):
            tuned = None
        if not benchmarks or benchmark in benchmarks:
            found.append(
                Tuning(
                    benchmark=benchmark,
                    target=target,
                    scenario=scenario,
                    content_id=content_id,
                    trials=tuple(trials),
                    kept=tuned,
                    devices="".join(devices),
                )
            )
    return found


def _study(prepared: PreparedRun, planned: PlannedBenchmark, cell: Cell) -> Study:
    from orchestrator.host.folders import data_home
    from orchestrator.runs.tuning import key_of

    step = prepared.step(planned, cell, system={})
    cpus = max(1, len(step.container.cpus))
    plan = planned.plan
    return Study(
        prepared=prepared,
        planned=planned,
        cell=cell,
        cpus=cpus,
        parameters=searched_parameters(planned.workload, cell.scenario, cpus),
        key=key_of(plan.benchmark, plan.target, cell.scenario, prepared.request.devices),
        content_id=what_ran(prepared, planned),
        file=trials_file(data_home(), prepared.environment.host.system_id),
    )


def _measurable(planned: PlannedBenchmark, cell: Cell, request: RunRequest, progress: Progress) -> bool:
    """Whether a trial can measure the scenario; a rate at which queries come is searched by our harness only.

    Of answers that are streams of tokens it searches none. Raises `UsageError` [tune-scenario] where the scenario was
    asked for; else that is told, and the others are tuned.
    """
    workload = planned.workload
    searches_rate = workload.harness.program is None and workload.benchmark.generation is None
    if searches_rate or not SCENARIOS[cell.scenario].has_searched_rate:
        return True
    message = f"{cell.scenario} of `{planned.plan.benchmark}` has no rate that a trial could measure"
    if cell.scenario not in request.scenarios:
        progress.say(f"{message}: it is not tuned")
        return False
    hint = "name the other scenarios with --scenario; `mlorch run --find` searches this one's rate"
    raise UsageError(message, hint=hint, slug="tune-scenario")
