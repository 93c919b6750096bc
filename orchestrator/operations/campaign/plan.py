"""`mlorch campaign plan`: the cells of a campaign, which are measured, which would be run, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.campaigns.folder import cell_names, read_inputs, results_gone
from orchestrator.campaigns.journal import DONE, read_journal
from orchestrator.campaigns.keys import PlannedCell, differences
from orchestrator.campaigns.states import IMPOSSIBLE, LEFT, SAME, STATES, TO_RUN, histories, last_ends, state_of
from orchestrator.operations.campaign.request import campaign_folder, cells_of_campaign, find_campaign
from orchestrator.operations.campaign.resolve import Resolver

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.campaigns.journal import JournalLine
    from orchestrator.definitions.kinds.campaigns import Campaign
    from orchestrator.operations.campaign.request import CampaignRequest
    from orchestrator.operations.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class CellState:
    """A cell, how far it is and why so: an obstacle, what changed since it was measured under another key."""

    planned: PlannedCell
    state: str
    why: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    """The ids of its tests, the one that counts last."""

    def document(self) -> dict[str, Any]:
        """An element of ``cells`` in the JSON of a plan."""
        cell = self.planned.cell
        return {
            "benchmark": cell.value("benchmark"),
            "scenario": cell.value("scenario"),
            "mode": cell.mode,
            "axes": dict(cell.axes),
            "repetition": cell.repetition,
            "key": self.planned.key,
            "state": self.state,
            "why": list(self.why),
            "runs": list(self.runs),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPlan:
    """The cells of a campaign in the order in which they run."""

    campaign: Campaign
    folder: Path
    cells: tuple[CellState, ...]

    def to_run(self, *, again: bool = False) -> tuple[PlannedCell, ...]:
        """Those that are run when the campaign goes on; ``again``: those whose result does not count too."""
        wanted = TO_RUN | {"invalid"} if again else TO_RUN
        return tuple(each.planned for each in self.cells if each.state in wanted)

    def counts(self) -> dict[str, int]:
        """How many cells are in each state."""
        found = Counter(each.state for each in self.cells)
        return {"total": len(self.cells), **{state: found[state] for state in STATES}}

    def document(self) -> dict[str, Any]:
        """The JSON of `mlorch campaign plan`."""
        return {
            "campaign": self.campaign.name,
            "folder": str(self.folder),
            "counts": self.counts(),
            "cells": [each.document() for each in self.cells],
        }


def campaign_plan(context: Context, request: CampaignRequest, *, why: bool = False) -> CampaignPlan:
    """The cells of a campaign with their states; nothing is written and no engine is needed.

    ``why`` says to look up what changed for those that were measured under another key. Raises `DefinitionError` and
    `UsageError` for a campaign that cannot be meant, `NothingSelectedError` for one without cells.
    """
    entry = find_campaign(context, request)
    planned = planned_cells(context, request, entry.definition)
    folder = campaign_folder(request, entry.definition)
    cells = with_states(folder, planned, read_journal(folder).lines)
    if why:
        cells = _with_reasons(folder, cells)
    return CampaignPlan(campaign=entry.definition, folder=folder, cells=cells)


def planned_cells(context: Context, request: CampaignRequest, campaign: Campaign) -> tuple[PlannedCell, ...]:
    """The cells with their keys; raises as `cells_of_campaign`."""
    resolver = Resolver(context=context, campaign=campaign, shared=request.run)
    return tuple(resolver.planned(cell) for cell in cells_of_campaign(context, request, campaign))


def with_states(folder: Path, planned: Sequence[PlannedCell], lines: Sequence[JournalLine]) -> tuple[CellState, ...]:
    """How far each cell is, by the journal's lines and the results that are there."""
    known, there = histories(lines), cell_names(folder)
    gone = results_gone(folder, (each.end for each in known.values() if each.end is not None))
    first: dict[str, PlannedCell] = {}
    found = []
    for each in planned:
        if each.obstacle:
            found.append(CellState(planned=each, state=IMPOSSIBLE, why=(each.obstacle,)))
            continue
        other = first.setdefault(each.key, each)
        if other is not each:
            found.append(CellState(planned=each, state=SAME, why=(f"the same test as {other.cell.title}",)))
            continue
        name = each.folder
        history = known.get(name)
        state = state_of(history, is_there=name in there and name not in gone)
        end = history.end if history is not None else None
        lost = end is not None and state == LEFT
        reasons = ("its result is gone",) if lost else (end.why,) if end is not None and end.why else ()
        found.append(CellState(planned=each, state=state, why=reasons, runs=() if end is None or lost else end.runs))
    return tuple(found)


def _with_reasons(folder: Path, cells: Sequence[CellState]) -> tuple[CellState, ...]:
    """The same, with what changed since a cell at the same place of the matrix was measured."""
    ends = last_ends(read_journal(folder).lines)
    found = []
    for each in cells:
        if each.state != LEFT or each.why:
            found.append(each)
            continue
        end = ends.get(each.planned.cell.place)
        found.append(replace(each, why=_changes(folder, each.planned, end)))
    return tuple(found)


def _changes(folder: Path, planned: PlannedCell, end: JournalLine | None) -> tuple[str, ...]:
    if end is None or end.outcome != DONE:
        return ("not measured yet",)
    inputs = read_inputs(folder, end.folder)
    if inputs is None:
        return ("it was measured before, and what decided that result cannot be read any more",)
    return differences(inputs, planned.inputs) or ("it was measured by another version of mlorch",)
