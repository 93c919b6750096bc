"""`mlorch campaign merge`: the cells that other machines measured, in one folder; nothing is chosen silently."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.campaigns.folder import (
    CELLS,
    KeptCell,
    campaign_lock,
    cell_folder,
    read_plan,
    write_plan,
)
from orchestrator.campaigns.journal import DONE, INVALID, Journal, JournalLine, read_journal
from orchestrator.campaigns.states import histories
from orchestrator.errors import StepFailed, UsageError
from orchestrator.host.files import make_folder, write_failure
from orchestrator.results.store import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.operations.progress import Talk

_SHOWN = 5
"""Conflicts that are told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What came of a merge: cells by their folders."""

    folder: Path
    taken: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    """Accuracies that both sides measured with the same outcome, as every shard does; ours stays."""
    unreadable: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The JSON of `mlorch campaign merge`."""
        return {
            "folder": str(self.folder),
            "taken": list(self.taken),
            "duplicates": list(self.duplicates),
            "unreadable": list(self.unreadable),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Other:
    """A cell that another folder has measured."""

    folder: Path
    line: JournalLine

    @property
    def words(self) -> str:
        return f"{self.line.runs[-1] if self.line.runs else '–'} ({self.line.outcome}) in {self.folder}"


def merge_campaigns(folder: Path, others: Sequence[Path], talk: Talk) -> Merged:
    """Bring what the campaigns in ``others`` measured into ``folder``; a second merge of the same changes nothing.

    Raises:
        UsageError: `no-campaign`, one of them is none.
        StepFailed: `merge-conflict`, two results of one performance test, with both sides; then nothing is changed.
            `campaign-busy`, somebody runs it.
    """
    for other in others:
        if read_plan(other) is None:
            raise UsageError(
                f"no campaign was begun in {other}",
                hint="name the folder of a campaign: it holds plan.json, journal and cells",
                slug="no-campaign",
            )
    with campaign_lock(folder):
        journal = Journal(folder)
        ours = {line.folder: _Other(folder=folder, line=line) for line in _ends(journal.lines)}
        kinds = {cell.folder: cell.mode for place in (folder, *others) for cell in read_plan(place) or ()}
        taken, duplicates, conflicts = _compared(ours, others, kinds)
        if conflicts:
            raise _conflict(conflicts)
        done, unreadable = [], []
        for each in taken:
            if _take(folder, each):
                journal.append(each.line._replace(why="merged"))
                done.append(each.line.folder)
            else:
                talk.warn(f"the record of {each.words} cannot be read: its cell is not taken")
                unreadable.append(each.line.folder)
        write_plan(folder, folder.name, _plans((folder, *others)))
    return Merged(folder=folder, taken=tuple(done), duplicates=tuple(duplicates), unreadable=tuple(unreadable))


def _ends(lines: Sequence[JournalLine]) -> list[JournalLine]:
    """The results of a campaign, those that do not count among them."""
    ends = (history.end for history in histories(lines).values())
    return [end for end in ends if end is not None and end.outcome in {DONE, INVALID} and end.runs]


def _compared(
    ours: dict[str, _Other], others: Sequence[Path], kinds: dict[str, str]
) -> tuple[list[_Other], list[str], list[tuple[_Other, _Other]]]:
    """What is taken, which cells both sides have with one outcome, and which with two that differ."""
    taken: list[_Other] = []
    duplicates: list[str] = []
    conflicts: list[tuple[_Other, _Other]] = []
    known = dict(ours)
    for other in others:
        for line in _ends(read_journal(other).lines):
            theirs = _Other(folder=other, line=line)
            mine = known.get(line.folder)
            if mine is None:
                known[line.folder] = theirs
                taken.append(theirs)
            elif mine.line.runs[-1] == line.runs[-1]:
                continue  # merged before
            elif kinds.get(line.folder) == "accuracy" and mine.line.outcome == line.outcome:
                duplicates.append(line.folder)
            else:
                conflicts.append((mine, theirs))
    return taken, duplicates, conflicts


def _conflict(conflicts: Sequence[tuple[_Other, _Other]]) -> StepFailed:
    shown = "; ".join(f"{mine.line.folder}: {mine.words} and {theirs.words}" for mine, theirs in conflicts[:_SHOWN])
    more = f"; and {len(conflicts) - _SHOWN} more" if len(conflicts) > _SHOWN else ""
    return StepFailed(
        f"{len(conflicts)} cells were measured on both sides: {shown}{more}",
        hint="move one of the two results of each away; nothing was merged",
        slug="merge-conflict",
    )


def _take(folder: Path, other: _Other) -> bool:
    """Copy a cell, whole or not at all; False where its record cannot be read. Links are copied, never followed."""
    name, run = other.line.folder, other.line.runs[-1]
    source, place = cell_folder(other.folder, name), cell_folder(folder, name)
    if source.is_symlink() or Entry(folder=source / run).record is None:
        return False
    if Entry(folder=place / run).record is not None:  # copied before, and its line was lost
        return True
    make_folder(folder / CELLS)
    temporary = folder / CELLS / f".merge-{secrets.token_hex(4)}"
    try:
        shutil.copytree(source, temporary, symlinks=True)
        if place.exists():  # what a try of ours left there that came to no result
            place.rename(folder / CELLS / f".before-{secrets.token_hex(4)}")
        temporary.rename(place)
    except (OSError, shutil.Error) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, shutil.Error):
            raise StepFailed(f"{source} cannot be copied: {error}", slug="write") from error
        raise write_failure(place, error) from error
    return True


def _plans(folders: Sequence[Path]) -> list[KeptCell]:
    """The cells of all plans, each once."""
    found: dict[tuple[str, str], KeptCell] = {}
    for folder in folders:
        for cell in read_plan(folder) or ():
            found.setdefault((cell.place, cell.folder), cell)
    return list(found.values())
