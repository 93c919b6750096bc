"""A folder of results: a folder a run, never overwritten, found by id or a part of it."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from orchestrator.errors import MlorchError, StepFailed, UsageError
from orchestrator.facts.containers import RECORD
from orchestrator.facts.record import Failure, RunRecord
from orchestrator.facts.record_file import from_json, to_json
from orchestrator.facts.runs import RUN_ID
from orchestrator.host.clock import now
from orchestrator.host.files import WriteFailed, atomic_write_text, write_failure
from orchestrator.host.left_behind import discard, give, take_back
from orchestrator.host.process import alive, boot_id, this_user
from orchestrator.host.untrusted import UnreadableFile, read_bytes, read_text

REPORT = "report.html"
SIGNATURE = "run.json.sig"
"""Of the record, where somebody signed it (`mlorch results sign`)."""
RESERVE = ".reserve"
_BEGINNING_S = 60
"""A run's folder has its record long before."""
_SECOND = len("20261124T014100Z")
"""Ids begin with the second of their start."""


def discard_report(folder: Path) -> None:
    """The report is mlorch's: whatever a container put into its place goes, before anybody opens it."""
    for name in (REPORT, SIGNATURE):
        with contextlib.suppress(OSError):
            discard(folder / name)


def release_reserve(folder: Path) -> None:
    """Free what was held back for the record."""
    with contextlib.suppress(OSError):
        (folder / RESERVE).unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A run's folder; its record, or why that cannot be read, is read when it is asked for.

    A listing of the newest of a thousand runs reads no other one's record.
    """

    folder: Path

    @property
    def run_id(self) -> str:
        return self.folder.name

    @cached_property
    def _read(self) -> tuple[RunRecord | None, str]:
        try:
            return from_json(read_text(self.folder, RECORD), path=str(self.folder / RECORD)), ""
        except StepFailed as exc:
            return None, exc.message

    @property
    def record(self) -> RunRecord | None:
        return self._read[0]

    @property
    def problem(self) -> str:
        return self._read[1]

    @property
    def by_hand(self) -> bool:
        """Whether the record is the empty file that a pasted line of `--dry-run` leaves."""
        try:
            return (self.folder / RECORD).lstat().st_size == 0
        except OSError:
            return False

    @property
    def status(self) -> str:
        return self.record.status if self.record else "unreadable"

    def need(self) -> RunRecord:
        """The record; raises `StepFailed` [record] when it is unreadable."""
        if self.record is None:
            raise StepFailed(self.problem, slug="record", hint="`mlorch results verify` tells what is left.")
        return self.record


@dataclass(frozen=True, slots=True)
class Store:
    """The results below ``root``; nothing is made until a run begins."""

    root: Path

    # -- writing -----------------------------------------------------------------------

    def begin(self, record: RunRecord) -> Path:
        """Make the run's folder, which must not exist, and write the record; gives the folder.

        Raises `StepFailed`: [exists] when there is such a run, [write] when it cannot be written;
        then no folder stays behind.
        """
        folder = self.root / record.run_id
        try:
            root = self.root.resolve()  # a link to where nothing is yet means that place
            new = not root.exists()
            root.mkdir(parents=True, exist_ok=True)
            if new:
                give(root, this_user().owner)
            folder.mkdir()
        except FileExistsError:
            hint = "Results are never overwritten; start the run again for a new id."
            raise WriteFailed(f"{folder} exists already", slug="exists", hint=hint) from None
        except OSError as exc:
            raise write_failure(folder, exc) from exc
        try:
            # Readable for all whatever the umask is: it is mounted over itself in the container, whose user is another.
            atomic_write_text(folder / RECORD, to_json(record), mode=0o644)
        except BaseException:
            with contextlib.suppress(OSError):
                folder.rmdir()
            raise
        return folder

    def finish(self, record: RunRecord) -> None:
        """Replace the record of a run that was begun, atomically; a folder that a container put there moves aside."""
        path = self.root / record.run_id / RECORD
        if path.is_dir() and not path.is_symlink():
            path.rename(path.with_name(f"{RECORD}.folder-{secrets.token_hex(4)}"))
        atomic_write_text(path, to_json(record), overwrite=True)

    def sweep(self) -> list[RunRecord]:
        """Turn records that say ``running`` though their mlorch is gone into ``interrupted``; gives the new ones.

        A record that cannot be replaced (read-only folder) is given too: it is interrupted whether or not
        that can be written down. What their containers left is made harmless.
        """
        self._remove_unbegun()
        marked, owner = [], this_user().owner
        for folder in self._closed_folders():
            take_back(folder, owner)
        for folder in self._folders():
            record = Entry(folder=folder).record if _may_run(folder) else None
            if record is None or record.status != "running" or may_live(record):
                continue
            if record.run_id != folder.name:  # it would be written elsewhere; `results verify` names it
                continue
            message = f"mlorch (process {record.owner.pid}) was gone when looked for at {now().utc}"
            hint = "Run the benchmark again; the files of this run are incomplete."
            error = Failure(slug="interrupted", message=message, hint=hint)
            release_reserve(folder)
            ended = replace(record, status="interrupted", valid=None, error=error, left=take_back(folder, owner))
            discard_report(folder)
            with contextlib.suppress(MlorchError, OSError):
                self.finish(ended)
                give(folder / RECORD, owner)
            marked.append(ended)
        return marked

    def _remove_unbegun(self) -> None:
        """Folders of runs that were killed before they had a record: they hold nothing but the start of one."""
        try:
            with os.scandir(self.root) as found:
                named = [Path(one.path) for one in found if RUN_ID.fullmatch(one.name)]
        except OSError:
            return
        for folder in named:
            with contextlib.suppress(OSError):
                if os.path.lexists(folder / RECORD) or abs(time.time() - folder.lstat().st_mtime) < _BEGINNING_S:
                    continue
                names = [path.name for path in folder.iterdir()]
                if all(name.startswith(f".{RECORD}.") and name.endswith(".tmp") for name in names):
                    for name in names:
                        (folder / name).unlink()
                    folder.rmdir()

    # -- reading -----------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        """All runs, newest first; a broken record is an entry without one."""
        by_second: dict[str, list[Entry]] = {}
        for folder in self._folders():
            by_second.setdefault(folder.name[:_SECOND], []).append(Entry(folder=folder))
        found: list[Entry] = []
        for second in sorted(by_second, reverse=True):
            same = by_second[second]
            if len(same) > 1:  # only then does a record have to say which was first
                same.sort(key=lambda entry: entry.record.started.unix_ns if entry.record else 0, reverse=True)
            found += same
        return found

    def _folders(self) -> list[Path]:
        """The folders that have a record, whatever kind of file that is, and those of runs that this user may not open.

        Raises `StepFailed` [unreadable-results] where the folder of results itself cannot be looked into.
        """
        try:
            with os.scandir(self.root) as found:
                return [Path(one.path) for one in found if _may_be_run(one)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StepFailed(
                f"the results in {self.root} cannot be listed: {error.strerror}",
                hint="name another folder with -o, or make this one readable for this user",
                slug="unreadable-results",
            ) from None

    def _closed_folders(self) -> list[Path]:
        """Folders of runs that nobody can look into, as a container that was killed with its mlorch closed them."""
        try:
            with os.scandir(self.root) as found:
                return [Path(one.path) for one in found if RUN_ID.fullmatch(one.name) and _is_closed(one)]
        except OSError:
            return []

    def find(self, reference: str) -> Entry:
        """The run with this id, unique beginning or end of an id, ``latest``, or folder.

        Raises `UsageError` [unknown-run] with the nearest ids, or [ambiguous-run].
        """
        folder = Path(reference)
        if "/" in reference and os.path.lexists(folder / RECORD):
            return Entry(folder=folder)
        entries = self.entries()
        if reference == "latest" and entries:
            return next((entry for entry in entries if not entry.by_hand), entries[0])
        near = _named(entries, reference)
        if len(near) == 1:
            return near[0]
        if near:
            some = ", ".join(entry.run_id for entry in near[:3]) + (" …" if len(near) > 3 else "")
            raise UsageError(
                f"`{reference}` fits {len(near)} runs: {some}",
                slug="ambiguous-run",
                hint="give more of the id",
            )
        raise self._unknown(reference, [entry.run_id for entry in entries])

    def session(self, record: RunRecord) -> list[Entry]:
        """All runs of the record's session, oldest first."""
        same = [e for e in self.entries() if e.record is not None and e.record.session == record.session]
        return same[::-1]

    def _unknown(self, reference: str, known: list[str]) -> UsageError:
        if not known:
            return UsageError(
                f"there are no results in {self.root}",
                slug="unknown-run",
                hint="run a benchmark with `mlorch run`, or name the folder with -o",
            )
        import difflib

        near = difflib.get_close_matches(reference, known, n=3, cutoff=0.5) or known[:3]
        return UsageError(
            f"there is no run `{reference}` in {self.root}",
            slug="unknown-run",
            hint=f"nearest: {', '.join(near)}",
        )


def _named(entries: list[Entry], reference: str) -> list[Entry]:
    """The run with this id, else all whose ids begin or end with it."""
    if not reference:
        return []
    exact = [entry for entry in entries if entry.run_id == reference]
    return exact or [e for e in entries if e.run_id.startswith(reference) or e.run_id.endswith(reference)]


def _may_be_run(found: os.DirEntry[str]) -> bool:
    """A closed folder of another user's run is told as unreadable; anything else without a record is no run."""
    return os.path.lexists(f"{found.path}/{RECORD}") or (bool(RUN_ID.fullmatch(found.name)) and _is_closed(found))


def _is_closed(found: os.DirEntry[str]) -> bool:
    return found.is_dir(follow_symlinks=False) and not os.access(found.path, os.R_OK | os.X_OK)


def may_live(record: RunRecord) -> bool:
    """Whether the mlorch that owns ``record`` may still run.

    A results folder may be shared between machines: what another one has begun cannot be judged from here, while an
    older boot of this one is surely over. Records of older versions know their machine by its name alone.
    """
    owner = record.owner
    if owner.boot_id != boot_id() and not owner.machine:
        return record.host.get("hostname") != platform.node()
    return alive(owner)


def _may_run(folder: Path) -> bool:
    """Whether the record may say ``running``; quicker than to decode it, as of most no process is left to ask for."""
    try:
        return b'"running"' in read_bytes(folder, RECORD)
    except UnreadableFile:
        return False
