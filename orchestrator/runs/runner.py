"""Carry out the tests of a plan: a container each, a record each, whatever happens.

`run.json` is written before the container starts and replaced when it ended, so
at no time does a half result look like a whole one.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError, HostLimitError, InterruptedRun, MlorchError, StepFailed
from orchestrator.facts.containers import RECORD
from orchestrator.facts.measured import Measured
from orchestrator.host.clock import now
from orchestrator.host.left_behind import give, take_back
from orchestrator.results.accuracy_log import accuracy_log_failure
from orchestrator.results.loadgen import other_sample_count
from orchestrator.results.measure import harness_document, measure
from orchestrator.results.store import Store, discard_report, release_reserve
from orchestrator.runs.containers import Containers
from orchestrator.runs.disturbance import DisturbanceMeter
from orchestrator.runs.energy_meter import EnergyMeter
from orchestrator.runs.external import external_result, settings_failure
from orchestrator.runs.failures import container_failure, explanation, failure, resource_failure
from orchestrator.runs.folder import changed_settings, prepare_folder, with_files
from orchestrator.runs.kept_servers import KeptServers
from orchestrator.runs.record import (
    bounded,
    first_record,
    harness_search,
    with_effective,
    with_ended_roles,
    with_server_facts,
)
from orchestrator.runs.sweep import RUN_LABEL
from orchestrator.runs.verification import audit_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import NoReturn

    from orchestrator.engines import Engine
    from orchestrator.facts.measured import LoadGenResult
    from orchestrator.facts.power import PowerFact
    from orchestrator.facts.record import RunRecord
    from orchestrator.facts.runs import RunStep
    from orchestrator.runs.ceilings import Ceilings
    from orchestrator.runs.ended import Ended
    from orchestrator.runs.record import RecordContext, Session
    from orchestrator.runs.reservation import Reserved

    Measure = Callable[[RunRecord, Path, Mapping[str, object]], tuple[Measured, StepFailed | None]]
    """Reads what a run measured, and says why LoadGen's logs could not be read if they could not."""


class Watcher:
    """Hears of what happens; the base class keeps silent."""

    def begin(self, step: RunStep, number: int, total: int) -> None:
        """A test begins, ``number`` from 1."""

    def event(self, step: RunStep, event: Mapping[str, object]) -> None:
        """A line of the harness that is an event (docs/run-contract.md)."""

    def line(self, step: RunStep, text: str) -> None:
        """Any other line of the container."""

    def end(self, step: RunStep, outcome: Outcome) -> None:
        """A test ended."""


class _Metered(Watcher):
    """Hands on what happens, and tells meters of it."""

    def __init__(self, watcher: Watcher, *meters: DisturbanceMeter | EnergyMeter) -> None:
        self._watcher = watcher
        self._meters = meters

    def event(self, step: RunStep, event: Mapping[str, object]) -> None:
        for meter in self._meters:
            meter.event(event)
        self._watcher.event(step, event)

    def line(self, step: RunStep, text: str) -> None:
        self._watcher.line(step, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one test: its record, its folder, and why it failed if it did."""

    record: RunRecord
    folder: Path
    error: MlorchError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs steps on one engine into one store."""

    engine: Engine
    store: Store
    session: Session
    watcher: Watcher
    measure: Measure = measure
    reserved: Reserved | None = None
    """The processors that are reserved for its tests; None where nobody reserved any."""
    ceilings: Ceilings | None = None
    """What clients reached by themselves before; None where that is measured for each test."""
    kept: KeptServers = field(default_factory=KeptServers)
    """Servers that stay up between its tests: `KeptServers.end` when the last one is over."""

    def run(self, step: RunStep, record_context: RecordContext, *, number: int = 1, total: int = 1) -> Outcome:
        """One step; the watcher hears of it. A test that fails or is INVALID is an outcome, no error.

        Raises `EngineError` when the engine is lost, `InterruptedRun` on Ctrl-C,
        `StepFailed` when results cannot be written any more; the record says so.
        """
        self.watcher.begin(step, number, total)
        outcome = self._run(step, record_context)
        self.watcher.end(step, outcome)
        return outcome

    def _run(self, step: RunStep, record_context: RecordContext) -> Outcome:
        step = self.kept.joined(step)
        record = first_record(step, record_context, self.session, now())
        if self.reserved is not None:
            self.reserved.at(step.run_id)
            record = replace(record, reservation=self.reserved.facts)
        record = replace(record, limit=step.limit)
        folder = self.store.begin(record)
        meter = self._meter(step)
        energy = EnergyMeter(step=step) if step.informal_power else None
        watcher = _Metered(self.watcher, meter, *filter(None, [energy]))
        containers = Containers(
            engine=self.engine,
            watcher=watcher,
            secrets=self.session.secrets,
            kept=self.kept,
            ceilings=self.ceilings,
        )
        try:
            prepare_folder(folder, step)
            with meter, energy or contextlib.nullcontext():
                ended = containers.run(step, folder)
            record = _metered(record, meter, energy)
        except BaseException as exc:  # noqa: BLE001 (always raised again)
            seen = meter.found() if meter.began else None
            record = replace(record, disturbance=seen, roles=with_ended_roles(record.roles, containers.roles))
            self._cut_short(record, folder, exc, step.results_owner)
        left = {**ended.left, **take_back(folder, step.results_owner)}
        discard_report(folder)
        if ended.exit is not None:
            ran = replace(record.container, container_id=ended.exit.container_id, deployed=ended.deployed)
            record = replace(record, container=ran)
        roles = with_ended_roles(record.roles, containers.roles)
        record = replace(record, left=left, roles=roles, artifacts=ended.artifacts)
        return self._close(record, folder, ended, step)

    def _meter(self, step: RunStep) -> DisturbanceMeter:
        """What watches the test's processors."""

        runs = {step.run_id, self.kept.started_by or step.run_id}  # the servers may be those of a test before

        def containers() -> list[str]:
            return [found.container_id for run in runs for found in self.engine.containers(f"{RUN_LABEL}={run}")]

        if self.reserved is None:
            return DisturbanceMeter(step=step, containers=containers)
        return DisturbanceMeter(step=step, containers=containers, other_runs=self.reserved.other_runs)

    def _close(self, record: RunRecord, folder: Path, ended: Ended, step: RunStep) -> Outcome:
        """The final record of a container that ran to its own end."""
        owner = step.results_owner
        harness, error = _left_by(record, folder, ended, step)
        facts, effective = bounded(harness.get("container")), bounded(harness.get("effective"))
        final = replace(
            record,
            ended=now(),
            exit_code=None if ended.exit is None else ended.exit.exit_code,
            out_of_memory=ended.exit is not None and ended.exit.out_of_memory,
            container_facts=facts,
            endpoint=with_server_facts(record.endpoint, harness),
            settings=with_effective(record.settings, effective),
            steps=ended.steps,
            search=record.search or harness_search(harness),
            error=failure(error, self.session.secrets),
        )
        measured, unread = self.measure(final, folder, harness)
        error = error or changed_settings(folder, step) or _unmeasured(final, folder, step, measured, unread)
        valid = final.counted(measured.loadgen) if measured.loadgen and error is None else None
        final = replace(
            final,
            status="failed" if error else "done",
            error=failure(error, self.session.secrets),
            measured=measured,
            power=_power(final, folder, measured, ended),
            # A server that ended while the client measured makes the test INVALID, though nobody counted a result.
            valid=(False if final.role_faults else valid) if record.loadgen_mode == "performance" else None,
        )
        try:
            final = with_files(final, folder)
            release_reserve(folder)
            self.store.finish(final)
            give(folder / RECORD, owner)
        except (StepFailed, OSError) as exc:
            self._cut_short(final, folder, exc, owner)
        return Outcome(record=final, folder=folder, error=error)

    def _cut_short(self, record: RunRecord, folder: Path, exc: BaseException, owner: str) -> NoReturn:
        """Write the record of a run that was cut short, and raise what the caller is to see."""
        error = explanation(exc, folder)
        if isinstance(error, InterruptedRun):
            self._remove_containers(record.run_id)
        release_reserve(folder)
        last = replace(
            record,
            status="interrupted" if _interrupts(error) else "failed",
            ended=now(),
            valid=None,
            measured=Measured(verdict="NO RESULT"),
            left={**record.left, **take_back(folder, owner)},
            error=failure(error, self.session.secrets),
        )
        discard_report(folder)
        with contextlib.suppress(MlorchError, OSError):
            last = with_files(last, folder)
        with contextlib.suppress(MlorchError, OSError):
            self.store.finish(last)
            give(folder / RECORD, owner)
        if isinstance(exc, Exception) and not isinstance(exc, (MlorchError, OSError)):
            raise exc
        raise error from (None if error is exc else exc)

    def _remove_containers(self, run_id: str) -> None:
        """Whatever of this run the engine still has: a second net, as it removes its container itself."""
        with contextlib.suppress(MlorchError):
            for found in self.engine.containers(f"{RUN_LABEL}={run_id}"):
                self.engine.remove(found.container_id)


def _left_by(
    record: RunRecord, folder: Path, ended: Ended, step: RunStep
) -> tuple[Mapping[str, object], StepFailed | None]:
    """The harness's own document, and why it did not do its work."""
    if step.external is None:
        harness = harness_document(folder)
        beside = step.roles is not None or step.power is not None
        told = ended.error is not None and (beside or ended.error.slug == "timeout")
        if ended.exit is None or told:
            return (
                harness,
                ended.error,
            )  # of what runs beside it, or of its end: what the container says follows from that
        return harness, container_failure(record, folder, ended.exit, harness) or ended.error
    assert ended.output is not None  # the steps of a program were heard
    if ended.exit is None:
        return {}, ended.error
    failed = resource_failure(record, folder, ended.exit, failed=ended.error is not None) or ended.error
    return external_result(folder, step.external, ended.output, failed)


def _unmeasured(
    record: RunRecord, folder: Path, step: RunStep, measured: Measured, unread: StepFailed | None
) -> StepFailed | None:
    """Why LoadGen's logs do not count, of a harness that was content: not whole, or of other settings than asked."""
    if unread is not None:
        return unread
    if measured.loadgen is None:
        return None
    if step.external is not None:
        error = settings_failure(step.external, measured.loadgen)
    elif step.compliance is not None:
        error = audit_failure(step.compliance.test, measured.loadgen)
    else:
        error = accuracy_log_failure(folder, _samples(step)) if record.mode == "accuracy" else None
    return error or _sample_failure(step, measured.loadgen)


def _metered(record: RunRecord, meter: DisturbanceMeter, energy: EnergyMeter | None) -> RunRecord:
    """The record with what was read beside the test."""
    disturbance = meter.found()
    informal = None if energy is None else energy.found(disturbance.others)
    return replace(record, disturbance=disturbance, informal_power=informal)


def _power(record: RunRecord, folder: Path, measured: Measured, ended: Ended) -> PowerFact | None:
    """What the test drew; None where that was not to be measured."""
    if record.power is None:
        return None
    if ended.error is not None:  # what lies there then is no session: the test itself may have put it there
        return replace(record.power, clocks=ended.clocks)
    from orchestrator.results.power import power_fact

    return power_fact(record.power, folder, record.scenario, measured.loadgen, ended.clocks)


def _samples(step: RunStep) -> object:
    """How many samples the data set of the recipe has; None where nothing says so."""
    dataset = step.settings.get("dataset")
    return dataset.get("samples") if isinstance(dataset, dict) else None


def _sample_failure(step: RunStep, result: LoadGenResult) -> StepFailed | None:
    """Whether LoadGen ran over another number of samples than the data set of the recipe has."""
    why = other_sample_count(result, _samples(step))
    if not why:
        return None
    return StepFailed(
        why,
        hint=f"an argument of the program limits its samples, or `samples` of dataset `{step.dataset.name}` is wrong",
        slug="sample-count",
    )


def _interrupts(error: MlorchError) -> bool:
    """Whether the run was ended from outside; a limit that the engine refuses is an answer of it, not its end."""
    return isinstance(error, (InterruptedRun, EngineError)) and not isinstance(error, HostLimitError)
