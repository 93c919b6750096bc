"""Why a run did not do its work: from a container's end, or from an exception, to what the user reads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.errors import InterruptedRun, MlorchError, StepFailed
from orchestrator.facts.record import Failure
from orchestrator.facts.redact import redacted_text
from orchestrator.runs.console_log import LOG, tail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.engines import ContainerExit
    from orchestrator.facts.record import RunRecord

RESERVE_BYTES = 256 * 1024
"""Held back on the disk while a container runs, so that a record can be written when everything else is full."""


def container_failure(
    record: RunRecord, folder: Path, ended: ContainerExit, harness: Mapping[str, object]
) -> StepFailed | None:
    """Why a container that ended did not do its work; None if it did. ``harness`` is its own last document."""
    starved = resource_failure(record, folder, ended, failed=ended.exit_code != 0 or not harness)
    if starved is not None:
        return starved
    if ended.exit_code == 0 and harness.get("status") == "done":
        return None
    return StepFailed(
        f"{record.run_id}: the harness ended with status {ended.exit_code}{_own_words(harness)}",
        hint=f"the whole log is in {folder / LOG}",
        slug="harness-failed",
        detail=tail(folder / LOG),
    )


def resource_failure(record: RunRecord, folder: Path, ended: ContainerExit, *, failed: bool) -> StepFailed | None:
    """Whether a container ended for want of memory, or ``failed`` on a full disk."""
    if ended.out_of_memory:
        limit = record.container.memory or 0
        return out_of_memory(
            f"{record.run_id}: the container was killed", limit, "the benchmark a smaller batch", folder / LOG
        )
    return disk_full(folder) if failed and free_bytes(folder) < RESERVE_BYTES else None


def out_of_memory(killed: str, limit: int, less: str, log: Path) -> StepFailed:
    """``killed`` says which container was, ``less`` what would need less than ``limit`` bytes."""
    return StepFailed(
        f"{killed}, as it needed more than its memory limit of {limit / 2**30:.2f} GiB",
        hint=f"give the machine more memory, or {less}; the whole log is in {log}",
        slug="out-of-memory",
        detail=tail(log),
    )


def _own_words(harness: Mapping[str, object]) -> str:
    if not harness:
        return " and wrote no harness.json"
    error = harness.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return f": {message}" if message else ""


def explanation(exc: BaseException, folder: Path) -> MlorchError:
    """What a user reads about ``exc``."""
    if isinstance(exc, KeyboardInterrupt):
        return InterruptedRun("interrupted; the container was stopped and the record says so", hint=f"see {folder}")
    if isinstance(exc, OSError) or (isinstance(exc, StepFailed) and exc.slug == "write"):
        if free_bytes(folder) < RESERVE_BYTES:
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
