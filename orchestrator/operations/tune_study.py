"""The search of one scenario for `mlorch tune`: its trials, each a test or two, and what of them is kept."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orchestrator.facts.codec import to_plain
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.operations.run.find import expectation, is_disturbed, layout
from orchestrator.operations.run.findings import keep
from orchestrator.operations.run.rates import next_settings
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.tunables import fitting
from orchestrator.runs.parameter_search import ParameterSearch, best_of
from orchestrator.runs.trials import Trial, append, load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.operations.run.benchmarks import PlannedBenchmark
    from orchestrator.operations.run.prepared import PreparedRun
    from orchestrator.plan.run.tunables import SearchedParameter
    from orchestrator.runs.runner import Outcome
    from orchestrator.runs.tuning import Tuned

SHORT_MS, LONG_MS = 1000, 4000
"""A trial is a short test, and a long one where that was not hopeless."""
SEARCHES = 2.5
"""So much longer where a test begins with a search for its rate, which takes as long as the test."""
NOTE = "a trial of `mlorch tune`; no result of its own"
CONFIRMATIONS = 3
"""Whole tests at most of what is to be kept, until one is VALID."""
REPEATS = 30
"""So often another trial is asked for where one was made already; then everything near was tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What was tried for one scenario of a benchmark, in order, what is kept for the next run, and why not the best."""

    benchmark: str
    target: str
    scenario: str
    content_id: str
    trials: tuple[Trial, ...] = ()
    kept: Tuned | None = None
    why: str = ""
    devices: str = ""
    run_id: str = ""
    """The test that confirmed what is kept."""

    def document(self) -> dict[str, object]:
        """The element of ``tuning`` in the JSON of `mlorch tune`."""
        return {
            "benchmark": self.benchmark,
            "target": self.target,
            "scenario": self.scenario,
            "devices": self.devices,
            "content_id": self.content_id,
            "kept": None if self.kept is None else to_plain(self.kept),
            "why": self.why,
            "run_id": self.run_id,
            "trials": [{"number": at, **to_plain(trial)} for at, trial in enumerate(self.trials, 1)],
        }


@dataclass(slots=True, kw_only=True)
class Study:
    """The search of one scenario."""

    prepared: PreparedRun
    planned: PlannedBenchmark
    cell: Cell
    cpus: int
    parameters: tuple[SearchedParameter, ...]
    key: str
    content_id: str
    file: Path
    trials: list[Trial] = field(default_factory=list)

    def run(self, trials: int, seed: int, end: float) -> Tuning:
        """At most ``trials`` new trials, none begun after ``end``; then the best is confirmed and kept."""
        kept = [one for one in load(self.file) if (one.key, one.content_id, one.cpus) == self._of]
        self.trials = kept[:]
        if not kept and time.monotonic() < end:
            self._add(self._calibrated())
        search = ParameterSearch(self.parameters, self.trials[:], seed, self._higher)
        for _ in range(trials - (0 if kept else 1)):
            values = self._next(search) if time.monotonic() < end else None
            if values is None:
                break
            trial = self._trial(values, search)
            search.learn(trial)
            self._add(trial)
        return self._concluded()

    @property
    def _of(self) -> tuple[str, str, int]:
        return (self.key, self.content_id, self.cpus)

    @property
    def _higher(self) -> bool:
        return SCENARIOS[self.cell.scenario].has_rate

    def _next(self, search: ParameterSearch) -> dict[str, int | str] | None:
        """Parameters that were not tried, made to fit; None where none were found."""
        made = [dict(one.parameters) for one in self.trials]
        for _ in range(REPEATS):
            values = fitting(search.ask(), self.cpus)
            if values not in made:
                return values
            search.drop()
        return None

    def _add(self, trial: Trial) -> None:
        append(self.file, trial)
        self.trials.append(trial)

    def _calibrated(self) -> Trial:
        """The first trial: what a run without any tuning has."""
        began = time.monotonic()
        outcome = self._test({}, LONG_MS)
        found = dict(self._defaults())
        found |= {name: value for name, value in layout(outcome).items() if name in found and isinstance(value, int)}
        return self._told(found, [outcome], began)

    def _defaults(self) -> dict[str, int | str]:
        """A value for each parameter that no test reports: the first of its choices, or its least."""
        values: dict[str, int | str] = {}
        for one in self.parameters:
            values[one.name] = one.choices[0] if one.choices else one.low
            if one.of_program:
                program = self.planned.workload.harness.program
                assert program is not None
                default = program.parameters[one.name].default
                values[one.name] = self.cpus if default == "{cpus}" else _as_value(one, default)
        return values

    def _trial(self, values: dict[str, int | str], search: ParameterSearch) -> Trial:
        began = time.monotonic()
        short = self._test(values, SHORT_MS)
        first = self._value(short)
        if first is None:
            return self._told(values, [short], began)
        if search.hopeless(first):
            told = self._told(values, [short], began, first=first)
            return replace(told, state="pruned", why="its short test was below the median of the others")
        return self._told(values, [short, self._test(values, LONG_MS)], began, first=first)

    def _test(self, values: Mapping[str, int | str], duration: int) -> Outcome:
        number = len(self.trials) + 1
        if SCENARIOS[self.cell.scenario].has_searched_rate:
            duration = round(SEARCHES * duration)
        choices = {"min_duration_ms": duration, "target_qps": None, **self._choices(values)}
        return self.prepared.run(self.planned, self.cell, number=number, note=NOTE, **choices)

    def _choices(self, values: Mapping[str, int | str]) -> dict[str, Any]:
        """The fields of `Choices` and the parameters of a program that say ``values``."""
        of_program = {one.name for one in self.parameters if one.of_program}
        system = {name: _setting(value) for name, value in values.items() if name not in of_program}
        given = {name: str(value) for name, value in values.items() if name in of_program}
        return {"system": {**system, "cpus": self.cpus} if system else {}, "parameters": given}

    def _told(
        self, values: Mapping[str, int | str], outcomes: list[Outcome], began: float, *, first: float | None = None
    ) -> Trial:
        last = outcomes[-1]
        value = self._value(last)
        why = "" if value is not None else "no figure was measured"
        return Trial(
            key=self.key,
            content_id=self.content_id,
            cpus=self.cpus,
            state="done" if value is not None else "failed",
            parameters=dict(values),
            value=value,
            first=first,
            unit="samples/s" if self._higher else "ns",
            higher_is_better=self._higher,
            run_ids=tuple(one.record.run_id for one in outcomes),
            seconds=round(time.monotonic() - began, 2),
            started=outcomes[0].record.started.utc,
            why=why if last.error is None else last.error.message,
        )

    def _value(self, outcome: Outcome) -> float | None:
        """What a trial is judged by: the rate of samples, the highest rate that was searched, or the latency."""
        measured, scenario = outcome.record.measured, SCENARIOS[self.cell.scenario]
        result = measured.loadgen if measured is not None and outcome.error is None else None
        if result is None:
            return None
        if scenario.has_searched_rate:
            search = outcome.record.search
            return None if search is None else search.best
        if scenario.has_rate:
            return result.rate
        name = f"p{100 * (scenario.percentile or 0.9):.0f}"
        return float(result.latency_ns[name]) if name in result.latency_ns else None

    # -- the best ------------------------------------------------------------------------------

    def _concluded(self) -> Tuning:
        """Confirm the best trial whose accuracy holds by a whole test, and keep it."""
        plan = self.planned.plan
        told = Tuning(
            benchmark=plan.benchmark,
            target=plan.target,
            scenario=self.cell.scenario,
            content_id=self.content_id,
            devices=self.prepared.request.devices,
        )
        why = "no trial measured anything"
        for best in best_of(latest(self.trials)):
            why = self._accuracy_lost(best)
            if why:
                continue
            outcome = self._confirmed(best)
            if not outcome.record.valid:
                why = "the tests that should confirm the best trial were not VALID"
                break
            kept = self._keep(best, outcome)
            return replace(told, trials=tuple(self.trials), kept=kept, run_id=outcome.record.run_id)
        return replace(told, trials=tuple(self.trials), why=why)

    def _confirmed(self, best: Trial) -> Outcome:
        """A whole test of the best trial, and more where one is not VALID: at another rate where its own was a guess.

        Else as it was, since one verdict may be other load's doing.
        """
        choices: dict[str, Any] = {"target_qps": None, **self._choices(best.parameters)}
        outcome = self.prepared.run(self.planned, self.cell, **choices)
        for already in range(CONFIRMATIONS - 1):
            if outcome.record.valid:
                break
            choices |= next_settings(outcome, already)
            outcome = self.prepared.run(self.planned, self.cell, **choices)
        return outcome

    def _accuracy_lost(self, trial: Trial) -> str:
        """Why a trial cannot be kept: answers depend on one of its parameters, and their accuracy does not hold."""
        inexact = [one.name for one in self.parameters if not one.exact and trial.parameters.get(one.name)]
        if not inexact or trial.accuracy == "PASSED":
            return ""
        cell = Cell(scenario=self.cell.scenario, mode="accuracy")
        outcome = self.prepared.run(self.planned, cell, note=NOTE, **self._choices(trial.parameters))
        measured = outcome.record.measured
        verdict = "FAILED" if measured is None or measured.verdict != "PASSED" else "PASSED"
        words = ", ".join(f"{name} {trial.parameters[name]}" for name in inexact)
        why = "" if verdict == "PASSED" else f"the accuracy does not hold with {words}"
        run_ids = (*trial.run_ids, outcome.record.run_id)
        state = trial.state if verdict == "PASSED" else "failed"
        self._add(replace(trial, accuracy=verdict, state=state, why=why, run_ids=run_ids))
        return why

    def _keep(self, best: Trial, outcome: Outcome) -> Tuned:
        choices = self._choices(best.parameters)
        # A rate at its limit is `--find`'s to store; here the next run searches it briefly. What a disturbed test
        # measured is no expectation either: the next run measures its own.
        searched = SCENARIOS[self.cell.scenario].has_searched_rate or is_disturbed(outcome)
        expected = {} if searched else expectation(outcome, self.cell.scenario)
        return keep(
            self.prepared,
            self.planned,
            outcome.record,
            settings={**layout(outcome), "cpus": self.cpus, **choices["system"], **expected},
            by="tune",
            parameters=choices["parameters"],
        )


def latest(trials: list[Trial]) -> list[Trial]:
    """Of trials with the same parameters the last, which knows of their accuracy."""
    return list({tuple(sorted(one.parameters.items())): one for one in trials}.values())


def _setting(value: int | str) -> int | str:
    """A choice that is a number is one to the harness: recipes hold texts."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _as_value(one: SearchedParameter, text: str) -> int | str:
    return int(text) if not one.choices and text.isdecimal() else text
