"""Carry out the tests of a plan: a container each, a record each, whatever happens.

`run.json` is written before the container starts and replaced when it ended, so
at no time does a half result look like a whole one.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import EngineError, HostLimitError, InterruptedRun, MlorchError, StepFailed
from orchestrator.facts.record import ContainerRun, Failure, FileHash, Moment, RunRecord
from orchestrator.facts.redact import redacted_text
from orchestrator.host.files import atomic_write_text, sha256_file
from orchestrator.runs.record import first_record, with_effective
from orchestrator.runs.sweep import RUN_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO

    from orchestrator.engines import ContainerExit, ContainerFacts, Engine
    from orchestrator.facts.run_steps import RunStep
    from orchestrator.runs.record import RecordContext, Session

LOG = "console.log"
_RESERVE = ".reserve"
_RESERVE_BYTES = 256 * 1024
_LARGEST_JSON = 8 * 2**20


class Store(Protocol):
    """What running needs of the results store (`orchestrator.results.store`)."""

    def begin(self, record: RunRecord) -> Path:
        """Make the run's folder, which must not exist, and write the record; gives the folder."""
        ...

    def finish(self, record: RunRecord) -> None:
        """Replace the record atomically."""
        ...


class Watcher:
    """Told what happens; the base class keeps silent."""

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
class Runner:
    """Runs steps on one engine into one store. ``verdict`` gives LoadGen's verdict of a run's folder."""

    engine: Engine
    store: Store
    session: Session
    verdict: Callable[[Path], bool | None]
    watcher: Watcher

    def run(self, step: RunStep, record_context: RecordContext, *, number: int = 1, total: int = 1) -> Outcome:
        """One step, the watcher told. A test that fails or is INVALID is an outcome, no error.

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
        reserve = folder / _RESERVE
        try:
            atomic_write_text(folder / "settings.json", json.dumps(dict(step.settings), indent=1) + "\n")
            reserve.write_bytes(bytes(_RESERVE_BYTES))
            with (folder / LOG).open("x", encoding="utf-8") as log:
                ended, started = self._contain(step, log)
        except BaseException as exc:
            self._settle(record, folder, exc)
            raise AssertionError("_settle always raises") from exc
        record = replace(record, container=replace(record.container, container_id=started))
        return self._close(record, folder, ended)

    def _contain(self, step: RunStep, log: TextIO) -> tuple[ContainerExit, str]:
        """The container from start to end; its exit and its id."""
        secrets = self.session.secrets
        begun: list[str] = []

        def on_line(raw: str) -> None:
            text = redacted_text(raw.rstrip("\r\n"), secrets)
            try:
                log.write(text + "\n")
                log.flush()
            except OSError as exc:  # said here, as the engine would take it for trouble of its own
                raise explained(exc, Path(log.name).parent) from exc
            event = parse_event(text)
            if event is None:
                self.watcher.line(step, text)
            else:
                self.watcher.event(step, event)

        def on_started(facts: ContainerFacts) -> None:
            begun.append(facts.container_id)

        ended = self.engine.run(step.container, on_line, on_started)
        return ended, begun[-1] if begun else ended.container_id

    def _close(self, record: RunRecord, folder: Path, ended: ContainerExit) -> Outcome:
        """The final record of a container that ran to its own end."""
        harness = read_json(folder / "harness.json")
        error = fault(record, folder, ended, harness)
        facts = harness.get("container")
        effective = harness.get("effective")
        final = replace(
            record,
            status="failed" if error else "done",
            ended=now(),
            exit_code=ended.exit_code,
            out_of_memory=ended.out_of_memory,
            container_facts=facts if isinstance(facts, dict) else {},
            settings=with_effective(record.settings, effective if isinstance(effective, dict) else {}),
            error=failure(error, self.session.secrets),
        )
        if error is None and record.mode == "performance":
            try:
                final = replace(final, valid=self.verdict(folder))
            except StepFailed as exc:  # the harness was content, but LoadGen's logs are not whole
                error = exc
                final = replace(final, status="failed", error=failure(exc, self.session.secrets))
        try:
            final = replace(final, files=file_hashes(folder))
            (folder / _RESERVE).unlink(missing_ok=True)
            self.store.finish(final)
        except (StepFailed, OSError) as exc:
            self._settle(final, folder, exc)
        return Outcome(record=final, folder=folder, error=error)

    def _settle(self, record: RunRecord, folder: Path, exc: BaseException) -> None:
        """The record of a run that was cut short; then raises what the caller is to see."""
        error = explained(exc, folder)
        refused = isinstance(error, HostLimitError)  # an answer of the engine, not its end
        status = "interrupted" if isinstance(error, (InterruptedRun, EngineError)) and not refused else "failed"
        if isinstance(error, InterruptedRun):
            self._remove_containers(record.run_id)
        with contextlib.suppress(OSError):
            (folder / _RESERVE).unlink(missing_ok=True)
        last = replace(record, status=status, ended=now(), valid=None, error=failure(error, self.session.secrets))
        with contextlib.suppress(MlorchError, OSError):
            last = replace(last, files=file_hashes(folder))
        with contextlib.suppress(MlorchError, OSError):
            self.store.finish(last)
        if isinstance(exc, Exception) and not isinstance(exc, (MlorchError, OSError)):
            raise exc
        raise error from exc

    def _remove_containers(self, run_id: str) -> None:
        """Whatever of this run the engine still has: a second net, as it removes its container itself."""
        with contextlib.suppress(MlorchError):
            for found in self.engine.containers(f"{RUN_LABEL}={run_id}"):
                self.engine.remove(found.container_id)


def now() -> Moment:
    """The time, as records keep it."""
    unix_ns = time.time_ns()
    stamp = datetime.fromtimestamp(unix_ns // 10**9, tz=UTC)
    return Moment(utc=stamp.strftime("%Y-%m-%dT%H:%M:%SZ"), unix_ns=unix_ns)


def parse_event(line: str) -> dict[str, object] | None:
    """The event in a line of the harness, None for any other line."""
    if not line.startswith('{"event"'):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def read_json(path: Path) -> dict[str, object]:
    """The object in a file that a container wrote; empty where there is none or it is not one.

    It comes from inside: no link is followed, and nothing huge is read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, encoding="utf-8") as stream:
            document = json.loads(stream.read(_LARGEST_JSON))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def file_hashes(folder: Path) -> dict[str, FileHash]:
    """The regular files of a run (not the record, the report or what begins with a dot), by name."""
    hashes = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in {"run.json", "report.html"}:
            continue
        if path.is_file() and not path.is_symlink():
            hashes[path.name] = FileHash(sha256=sha256_file(path), size=path.stat().st_size)
    return hashes


def fault(record: RunRecord, folder: Path, ended: ContainerExit, harness: Mapping[str, object]) -> StepFailed | None:
    """Why a container that ended did not do its work; None if it did."""
    log = folder / LOG
    if ended.out_of_memory:
        limit = record.container.memory or 0
        return StepFailed(
            f"{record.run_id}: the container was killed, as it needed more than its memory limit of "
            f"{limit / 2**30:.2f} GiB",
            hint="give the machine more memory, or the benchmark a smaller batch",
            slug="out-of-memory",
            detail=tail(log),
        )
    if free_bytes(folder) < _RESERVE_BYTES and (ended.exit_code != 0 or not harness):
        return disk_full(folder)
    said = harness.get("error")
    message = said.get("message") if isinstance(said, dict) else None
    if ended.exit_code == 0 and harness.get("status") == "done":
        return None
    why = f"the harness ended with status {ended.exit_code}"
    if message:
        why += f": {message}"
    elif not harness:
        why += " and wrote no harness.json"
    return StepFailed(
        f"{record.run_id}: {why}",
        hint=f"the whole log is in {log}",
        slug="harness-failed",
        detail=tail(log),
    )


def explained(exc: BaseException, folder: Path) -> MlorchError:
    """What a user is told about ``exc``."""
    if isinstance(exc, KeyboardInterrupt):
        return InterruptedRun("interrupted; the container was stopped and the record says so", hint=f"see {folder}")
    if isinstance(exc, OSError) or (isinstance(exc, StepFailed) and exc.slug == "write"):
        if free_bytes(folder) < _RESERVE_BYTES:
            return disk_full(folder)
        if isinstance(exc, StepFailed):
            return exc
        return StepFailed(f"cannot write results: {exc}", hint=f"see {folder}", slug="write")
    if isinstance(exc, MlorchError):
        return exc
    return StepFailed(f"{type(exc).__name__}: {exc}", slug="bug")


def disk_full(folder: Path) -> StepFailed:
    """The file system of the results has no space left."""
    return StepFailed(
        f"no space left on the file system of {folder}",
        hint="free some space there, or put results elsewhere with -o; this run does not count",
        slug="disk-full",
    )


def free_bytes(folder: Path) -> int:
    """What may still be written below ``folder``, without the reserve that we hold there."""
    try:
        facts = os.statvfs(folder)
    except OSError:
        return 0
    return facts.f_bavail * facts.f_frsize


def failure(error: MlorchError | None, secrets: tuple[str, ...]) -> Failure | None:
    """The error as the record keeps it."""
    if error is None:
        return None
    return Failure(
        slug=error.slug,
        message=redacted_text(error.message, secrets),
        hint=redacted_text(error.hint, secrets),
    )


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of a log."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 16_384))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


__all__ = [
    "LOG",
    "RUN_LABEL",
    "ContainerRun",
    "Outcome",
    "Runner",
    "Store",
    "Watcher",
    "explained",
    "fault",
    "file_hashes",
    "now",
    "parse_event",
    "read_json",
    "tail",
]
