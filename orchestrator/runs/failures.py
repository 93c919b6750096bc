"""Why a run did not do its work: from a container's end, or from an exception, to what the user reads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.engines.model import KILLED
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


_LONGEST_WORDS = 2000
"""Of what a harness says itself, in the record."""


def container_failure(
    record: RunRecord, folder: Path, ended: ContainerExit, harness: Mapping[str, object]
) -> StepFailed | None:
    """Why a container that ended did not do its work; None if it did. ``harness`` is its own last document."""
    starved = resource_failure(record, folder, ended, failed=ended.exit_code != 0 or not harness)
    if starved is not None:
        return starved
    if ended.exit_code == 0 and harness.get("status") == "done":
        return None
    if ended.exit_code == KILLED:
        limit = record.container.memory or 0
        return StepFailed(
            f"{record.run_id}: the harness was killed (status {KILLED}), and the engine does not say by whom",
            hint=f"mostly it is the kernel, for want of memory{f' (limit {limit / 2**30:.2f} GiB)' if limit else ''}: "
            f"its own log says so (dmesg); the container's log is in {folder / LOG}",
            slug="harness-failed",
            detail=tail(folder / LOG),
        )
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
    if not failed:
        return None
    if not folder.is_dir():
        return folder_gone(folder)
    return disk_full(folder) if lacks_space(folder) else None


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
    return f": {str(message)[:_LONGEST_WORDS]}" if message else ""


def explanation(exc: BaseException, folder: Path) -> MlorchError:
    """What a user reads about ``exc``."""
    if isinstance(exc, KeyboardInterrupt):
        return InterruptedRun("interrupted; the container was stopped and the record says so", hint=f"see {folder}")
    if isinstance(exc, OSError) or (isinstance(exc, StepFailed) and exc.slug == "write"):
        return _unwritten(exc, folder)
    if isinstance(exc, MlorchError):
        return exc
    return StepFailed(f"{type(exc).__name__}: {exc}", slug="bug")


def _unwritten(exc: OSError | StepFailed, folder: Path) -> StepFailed:
    """Why something could not be written into a run's folder."""
    if not folder.is_dir():
        return folder_gone(folder)
    if lacks_space(folder):
        return disk_full(folder)
    if isinstance(exc, StepFailed):
        return exc
    return StepFailed(f"cannot write results: {exc}", hint=f"see {folder}", slug="write")


def disk_full(folder: Path) -> StepFailed:
    """The file system of the results has no space left."""
    return StepFailed(
        f"no space left on the file system of {folder}",
        hint="free some space there, or put results elsewhere with -o; this run does not count",
        slug="disk-full",
    )


def folder_gone(folder: Path) -> StepFailed:
    """Somebody removed the run's folder while it ran."""
    return StepFailed(
        f"{folder} was removed while the test ran",
        hint="its results are gone; run it again, and leave the folder alone until it has ended",
        slug="folder-gone",
    )


def lacks_space(folder: Path) -> bool:
    """Whether the file system of ``folder`` is full but for the reserve; one that cannot be asked counts as not."""
    free = free_bytes(folder)
    return free is not None and free < RESERVE_BYTES


def free_bytes(folder: Path) -> int | None:
    """What may still be written below ``folder``, without the reserve that we hold there; None where nobody says."""
    try:
        facts = os.statvfs(folder)
    except OSError:
        return None
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
