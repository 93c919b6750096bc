"""`mlorch campaign status`: how far a campaign is, by its journal alone; no recipe is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.campaigns.folder import KeptCell, cell_names, has_begun, is_running, read_plan
from orchestrator.campaigns.journal import read_journal
from orchestrator.campaigns.states import IMPOSSIBLE, INTERRUPTED, SAME, STATES, TO_RUN, Pace, histories, state_of
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.campaigns.journal import JournalLine
    from orchestrator.campaigns.states import History


@dataclass(frozen=True, slots=True, kw_only=True)
class CellStatus:
    """A cell as its campaign was last begun with it, how far it is, and how it ended last."""

    cell: KeptCell
    state: str
    end: JournalLine | None = None

    def document(self) -> dict[str, Any]:
        """An element of ``cells`` in the JSON of a status."""
        end = self.end
        return {
            "axes": self.cell.axes,
            "mode": self.cell.mode,
            "repetition": self.cell.repetition,
            "folder": self.cell.folder,
            "state": self.state,
            "runs": [] if end is None else list(end.runs),
            "seconds": None if end is None else end.seconds,
            "why": self.cell.obstacle or ("" if end is None else end.why),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignStatus:
    """How far a campaign is; ``left_s`` is what the rest may take in seconds, None where nothing has ended yet."""

    name: str
    folder: Path
    running: bool
    cells: tuple[CellStatus, ...]
    left_s: float | None = None

    def counts(self) -> dict[str, int]:
        """How many cells are in each state."""
        found = Counter(each.state for each in self.cells)
        return {"total": len(self.cells), **{state: found[state] for state in STATES}}

    def document(self, *, with_cells: bool = True) -> dict[str, Any]:
        """The JSON of `mlorch campaign status`."""
        cells = {"cells": [each.document() for each in self.cells]} if with_cells else {}
        return {
            "campaign": self.name,
            "folder": str(self.folder),
            "running": self.running,
            "counts": self.counts(),
            "seconds_left": self.left_s,
            **cells,
        }


def campaign_status(folder: Path) -> CampaignStatus:
    """How far the campaign in a folder is. Raises `UsageError` [no-campaign] where none was begun there."""
    cells = read_plan(folder)
    if cells is None:
        hint = "begin one with `mlorch campaign run FILE`, or name the folder of results with -o"
        if has_begun(folder):
            hint = "its plan is gone; `mlorch campaign resume FILE` writes it anew"
        raise UsageError(f"no campaign was begun in {folder}", hint=hint, slug="no-campaign")
    lines = read_journal(folder).lines
    known, there = histories(lines), cell_names(folder)
    found: list[CellStatus] = []
    seen: set[str] = set()
    pace = Pace()
    for cell in cells:
        history = known.get(cell.folder)
        state = _state(cell, history, there, seen)
        end = history.end if history is not None else None
        if end is not None and end.seconds:
            pace.add(cell.kind, end.seconds)
        found.append(CellStatus(cell=cell, state=state, end=end if state != SAME else None))
    rest = Counter(each.cell.kind for each in found if each.state in TO_RUN)
    left = pace.left(rest) if rest else 0.0
    running = is_running(folder)
    return CampaignStatus(name=folder.name, folder=folder, running=running, cells=tuple(found), left_s=left)


def _state(cell: KeptCell, history: History | None, there: frozenset[str], seen: set[str]) -> str:
    if cell.obstacle:
        return IMPOSSIBLE
    if cell.folder in seen:
        return SAME
    seen.add(cell.folder)
    state = state_of(history, is_there=cell.folder in there)
    # One that began and whose folder was not made yet.
    return INTERRUPTED if history is not None and history.is_open and history.end is None else state
