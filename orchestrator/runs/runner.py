"""Carry out the tests of a plan: a container each, a record each, whatever happens.

`run.json` is written before the container starts and replaced when it ended, so
at no time does a half result look like a whole one.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import EngineError, HostLimitError, InterruptedRun, MlorchError, StepFailed
from orchestrator.facts.measured import Measured
from orchestrator.facts.record import Moment, RunRecord
from orchestrator.host.left_behind import give, take_back
from orchestrator.results.measure import harness_document
from orchestrator.runs.artifacts import lent
from orchestrator.runs.console_log import LOG, ConsoleLog, tail
from orchestrator.runs.failures import container_failure, explanation, failure
from orchestrator.runs.folder import file_hashes, prepare_folder, release_reserve
from orchestrator.runs.record import first_record, with_effective
from orchestrator.runs.sweep import RUN_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn, TextIO

    from orchestrator.engines import ContainerExit, Engine
    from orchestrator.facts.runs import RunStep
    from orchestrator.runs.record import RecordContext, Session


class Store(Protocol):
    """What running needs of the results store (`orchestrator.results.store`)."""

    def begin(self, record: RunRecord) -> Path:
        """Make the run's folder, which must not exist, and write the record; gives the folder."""
        ...

    def finish(self, record: RunRecord) -> None:
        """Replace the record atomically."""
        ...


class Measure(Protocol):
    """Reads what a run measured, once (`orchestrator.results.measure`)."""

    def __call__(
        self, record: RunRecord, folder: Path, harness: Mapping[str, object]
    ) -> tuple[Measured, StepFailed | None]:
        """What was measured, and why LoadGen's logs could not be read if they could not."""
        ...


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one test: its record, its folder, and why it failed if it did."""

    record: RunRecord
    folder: Path
    error: MlorchError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A container that ran to its own end; ``left`` is what was done to its artefacts, by file."""

    exit: ContainerExit
    left: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs steps on one engine into one store."""

    engine: Engine
    store: Store
    session: Session
    measure: Measure
    watcher: Watcher

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
        record = first_record(step, record_context, self.session, now())
        folder = self.store.begin(record)
        try:
            prepare_folder(folder, step)
            with (folder / LOG).open("x", encoding="utf-8") as log:
                ended = self._contain(step, log)
        except BaseException as exc:  # noqa: BLE001 (always raised again)
            self._cut_short(record, folder, exc, step.results_owner)
        record = replace(record, container=replace(record.container, container_id=ended.exit.container_id))
        return self._close(record, folder, ended, step.results_owner)

    def _contain(self, step: RunStep, stream: TextIO) -> Ended:
        """The container from start to end."""
        log = ConsoleLog(
            stream=stream,
            secrets=self.session.secrets,
            on_event=lambda event: self.watcher.event(step, event),
            on_line=lambda text: self.watcher.line(step, text),
        )

        def on_line(raw: str) -> None:
            try:
                log.line(raw)
            except OSError as exc:  # explained here, as the engine would take it for trouble of its own
                raise explanation(exc, Path(stream.name).parent) from exc

        with lent(step.container, step.results_owner) as artifacts:
            for text in artifacts.warnings:
                self.watcher.line(step, text)
            ended = self.engine.run(artifacts.container, on_line)
            artifacts.keep = ended.exit_code == 0
        return Ended(exit=ended, left=artifacts.left)

    def _close(self, record: RunRecord, folder: Path, ended: Ended, owner: str) -> Outcome:
        """The final record of a container that ran to its own end."""
        left = {**ended.left, **take_back(folder, owner)}
        harness = harness_document(folder)
        error = container_failure(record, folder, ended.exit, harness)
        facts, effective = harness.get("container"), harness.get("effective")
        final = replace(
            record,
            ended=now(),
            exit_code=ended.exit.exit_code,
            out_of_memory=ended.exit.out_of_memory,
            container_facts=facts if isinstance(facts, dict) else {},
            settings=with_effective(record.settings, effective if isinstance(effective, dict) else {}),
            error=failure(error, self.session.secrets),
        )
        measured, unread = self.measure(final, folder, harness)
        if error is None and record.mode == "performance":
            error = unread  # the harness was content, but LoadGen's logs are not whole
        valid = measured.loadgen.valid if measured.loadgen and error is None else None
        final = replace(
            final,
            status="failed" if error else "done",
            error=failure(error, self.session.secrets),
            measured=measured,
            valid=valid if record.mode == "performance" else None,
        )
        try:
            hashes, skipped = file_hashes(folder)
            final = replace(final, files=hashes, left={**left, **skipped})
            release_reserve(folder)
            self.store.finish(final)
            give(folder / "run.json", owner)
        except (StepFailed, OSError) as exc:
            self._cut_short(final, folder, exc, owner)
        return Outcome(record=final, folder=folder, error=error)

    def _cut_short(self, record: RunRecord, folder: Path, exc: BaseException, owner: str) -> NoReturn:
        """Write the record of a run that was cut short, and raise what the caller is to see."""
        error = explanation(exc, folder)
        if isinstance(error, InterruptedRun):
            self._remove_containers(record.run_id)
        release_reserve(folder)
        left = {**record.left, **take_back(folder, owner)}
        last = replace(
            record,
            status="interrupted" if _interrupts(error) else "failed",
            ended=now(),
            valid=None,
            measured=Measured(verdict="NO RESULT"),
            left=left,
            error=failure(error, self.session.secrets),
        )
        with contextlib.suppress(MlorchError, OSError):
            hashes, skipped = file_hashes(folder)
            last = replace(last, files=hashes, left={**left, **skipped})
        with contextlib.suppress(MlorchError, OSError):
            self.store.finish(last)
            give(folder / "run.json", owner)
        if isinstance(exc, Exception) and not isinstance(exc, (MlorchError, OSError)):
            raise exc
        raise error from (None if error is exc else exc)

    def _remove_containers(self, run_id: str) -> None:
        """Whatever of this run the engine still has: a second net, as it removes its container itself."""
        with contextlib.suppress(MlorchError):
            for found in self.engine.containers(f"{RUN_LABEL}={run_id}"):
                self.engine.remove(found.container_id)


def _interrupts(error: MlorchError) -> bool:
    """Whether the run was ended from outside; a limit that the engine refuses is an answer of it, not its end."""
    return isinstance(error, (InterruptedRun, EngineError)) and not isinstance(error, HostLimitError)


def now() -> Moment:
    """The time, as records keep it."""
    unix_ns = time.time_ns()
    stamp = datetime.fromtimestamp(unix_ns // 10**9, tz=UTC)
    return Moment(utc=stamp.strftime("%Y-%m-%dT%H:%M:%SZ"), unix_ns=unix_ns)


__all__ = ["LOG", "Outcome", "Runner", "Store", "Watcher", "now", "tail"]
