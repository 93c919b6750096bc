"""`mlorch campaign run` and `resume`: the cells that are left, one after the other, each as a run of its own.

The journal says that a cell begins before anything of it is made, and that it ended after its record is on the disk.
Whoever goes on later believes the records: a test that has one is not made again, whatever the journal lost.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orchestrator.campaigns.folder import campaign_lock, cell_folder, has_begun, kept, write_cell, write_plan
from orchestrator.campaigns.journal import DONE, FAILED, INVALID, Journal, JournalLine
from orchestrator.campaigns.states import INTERRUPTED, LEFT, Pace
from orchestrator.errors import (
    DefinitionError,
    HostLimitError,
    NothingSelectedError,
    StepFailed,
    UsageError,
)
from orchestrator.host.files import WriteFailed
from orchestrator.operations.campaign.plan import CampaignPlan, planned_cells, with_states
from orchestrator.operations.campaign.request import campaign_folder, find_campaign, run_of_cell
from orchestrator.operations.progress import SaidOnce
from orchestrator.operations.run.order import last_of_each_test, run
from orchestrator.operations.run.processors import HeldProcessors
from orchestrator.operations.run.records import new_session
from orchestrator.operations.run.request import checked
from orchestrator.results.store import Store
from orchestrator.results.summary import summaries
from orchestrator.runs.runner import Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orchestrator.campaigns.keys import PlannedCell
    from orchestrator.definitions.kinds.campaigns import Campaign
    from orchestrator.operations.campaign.request import CampaignRequest
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Progress, Talk
    from orchestrator.results.summary import Summary


class CampaignWatcher(Watcher):
    """Hears of a campaign's cells beside their tests; the base class keeps silent."""

    def cell(self, planned: PlannedCell, number: int, total: int, left_s: float | None) -> None:
        """A cell begins, ``number`` from 1 of those that are left; ``left_s``: all of them, None while unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellEnd:
    """What became of one try of a cell: how it ended, its tests, and what stopped it if something did."""

    planned: PlannedCell
    outcome: str
    summaries: tuple[Summary, ...] = ()
    why: str = ""


@dataclass(slots=True, kw_only=True)
class CampaignRun:
    """A campaign that is run: what it comes to is known when `run` has ended."""

    context: Context
    request: CampaignRequest
    campaign: Campaign
    folder: Path
    planned: tuple[PlannedCell, ...]
    plan: CampaignPlan | None = None
    """The cells as they are now: when it began, and after each that ended."""
    _pace: Pace = field(default_factory=Pace)

    def run(self, progress: Progress, watcher: CampaignWatcher) -> Iterator[CellEnd]:
        """Run what is left; yields each try of a cell as it ends. A cell that fails stops no other one.

        Raises what would stop the others too, with everything that ended kept: `StepFailed` ([campaign-busy],
        [campaign-stopped] after so many failures, [write] for a full disk), `EngineError`, `InterruptedRun`.
        """
        progress = SaidOnce(progress)
        with campaign_lock(self.folder):
            journal = Journal(self.folder)
            _tell_healed(journal, progress)
            write_plan(self.folder, self.campaign.name, [kept(each) for each in self.planned])
            found = with_states(self.folder, self.planned, journal.lines)
            if _recover(self.folder, journal, [each.planned for each in found if each.state in {INTERRUPTED, LEFT}]):
                found = with_states(self.folder, self.planned, journal.lines)
            self.plan = CampaignPlan(campaign=self.campaign, folder=self.folder, cells=found)
            self._pace = _pace_so_far(self.planned, journal.lines)
            yield from self._cells(journal, self.plan.to_run(again=self.request.again), progress, watcher)

    def _cells(
        self, journal: Journal, cells: Sequence[PlannedCell], progress: Progress, watcher: CampaignWatcher
    ) -> Iterator[CellEnd]:
        shared = replace(self.request.run, session=new_session())
        rest, in_a_row = Counter(each.cell.kind for each in cells), 0
        try:
            with HeldProcessors() as held:
                for number, planned in enumerate(cells, 1):
                    watcher.cell(planned, number, len(cells), self._pace.left(rest))
                    end = None
                    for end in self._tries(journal, planned, shared, progress, watcher, held):
                        yield end
                    rest[planned.cell.kind] -= 1
                    in_a_row = 0 if end is not None and end.outcome == DONE else in_a_row + 1
                    self._require_going_on(in_a_row, len(cells) - number)
        finally:
            found = with_states(self.folder, self.planned, journal.lines)
            self.plan = CampaignPlan(campaign=self.campaign, folder=self.folder, cells=found)

    def _require_going_on(self, in_a_row: int, left: int) -> None:
        most = self.campaign.policy.stop_after
        if most is not None and in_a_row >= most and left:
            raise StepFailed(
                f"the campaign stops after {in_a_row} cells in a row that failed; {left} are left",
                hint="look at the first of them; `mlorch campaign resume` goes on with the rest",
                slug="campaign-stopped",
            )

    def _tries(
        self, journal: Journal, planned: PlannedCell, shared: Any, progress: Progress, watcher: Watcher,
        held: HeldProcessors,
    ) -> Iterator[CellEnd]:  # fmt: skip
        """One cell, and again where it failed and its policy says so."""
        for _ in range(1 + self.campaign.policy.retries):
            place, name = planned.cell.place, planned.folder
            journal.append(JournalLine(place=place, folder=name))
            results = write_cell(self.folder, planned)
            began = time.monotonic()
            request = replace(run_of_cell(shared, self.campaign, planned.cell), results=results)
            end = _try(self.context, planned, request, progress, watcher, held)
            seconds = round(time.monotonic() - began, 3)
            runs = tuple(summary.record.run_id for summary in end.summaries)
            journal.append(JournalLine(place, name, end.outcome, runs, seconds, end.why))
            self._pace.add(planned.cell.kind, seconds)
            yield end
            if end.outcome == DONE:
                return


def campaign_run(context: Context, request: CampaignRequest, *, resume: bool = False) -> CampaignRun:
    """A campaign that is ready to run, checked before anything is made.

    Raises as `campaign_plan`; `UsageError` [no-campaign] where one is to be resumed that never began,
    `NothingSelectedError` where no cell can run on this host.
    """
    campaign = find_campaign(context, request).definition
    folder = campaign_folder(request, campaign)
    if resume and not has_begun(folder):
        hint = f"begin it with `mlorch campaign run {request.campaign}`, or name the folder of results with -o"
        raise UsageError(f"no campaign `{campaign.name}` was begun in {folder}", hint=hint, slug="no-campaign")
    planned = planned_cells(context, request, campaign)
    if all(each.obstacle for each in planned):
        message = f"no cell of campaign `{campaign.name}` can be run on this host"
        raise NothingSelectedError(message, hint=planned[0].obstacle)
    return CampaignRun(context=context, request=request, campaign=campaign, folder=folder, planned=planned)


def _try(
    context: Context, planned: PlannedCell, request: Any, progress: Progress, watcher: Watcher, held: HeldProcessors
) -> CellEnd:
    """One try of a cell. Raises what is of the host or the user: no engine, a full disk, Ctrl-C."""
    done: list[Summary] = []
    try:
        done.extend(run(context, checked(request), progress, watcher, held))
    except WriteFailed:
        raise
    except (StepFailed, UsageError, DefinitionError, HostLimitError) as error:
        progress.warn(f"{planned.cell.title} did not run to its end: {error.message} [{error.slug}]")
        why = f"{error.message} [{error.slug}]"
        return CellEnd(planned=planned, outcome=FAILED, summaries=tuple(done), why=why)
    return _judged(planned, done)


def _judged(planned: PlannedCell, done: Sequence[Summary]) -> CellEnd:
    """How a cell ended by its tests: the last try of each counts."""
    last = last_of_each_test(done)
    if last and all(summary.good for summary in last):
        return CellEnd(planned=planned, outcome=DONE, summaries=tuple(done))
    why = "; ".join(dict.fromkeys(f"{each.verdict}: {'; '.join(each.reasons)}" for each in last if not each.good))
    ended = last and all(each.record.status == "done" for each in last)
    return CellEnd(planned=planned, outcome=INVALID if ended else FAILED, summaries=tuple(done), why=why[:1000])


# -- what is there when a campaign goes on ------------------------------------------------


def _tell_healed(journal: Journal, talk: Talk) -> None:
    healed = journal.healed
    if healed.torn:
        talk.say(f"the journal ended in the middle of a line ({healed.torn} bytes), which is cut off")
    if healed.damaged_at:
        talk.warn(
            f"the journal is damaged from line {healed.damaged_at} on; it is kept as {healed.aside}, and what is "
            "missing is taken from the records of the tests"
        )


def _recover(folder: Path, journal: Journal, cells: Sequence[PlannedCell]) -> int:
    """Note the end of cells whose record says that they ended well though the journal does not; gives how many."""
    found = 0
    for planned in cells:
        place = cell_folder(folder, planned.folder) if planned.key else None
        if place is None or not place.is_dir():
            continue
        good = _good_run(place, planned.cell.mode)
        if good:
            why = "taken from its record"
            journal.append(JournalLine(planned.cell.place, planned.folder, DONE, (good,), why=why))
            found += 1
    return found


def _good_run(place: Path, mode: str) -> str:
    """The test of a cell that counts, by its record; empty where there is none. A killed one's record is closed."""
    store = Store(place)
    store.sweep()
    entries = [each for each in store.entries() if each.record is not None and each.record.mode == mode]
    return next((one.record.run_id for one in summaries(entries) if one.good), "")


def _pace_so_far(planned: Sequence[PlannedCell], lines: Sequence[JournalLine]) -> Pace:
    """How long cells took before."""
    kinds = {each.folder: each.cell.kind for each in planned if each.key}
    pace = Pace()
    for line in lines:
        if line.seconds and line.folder in kinds:
            pace.add(kinds[line.folder], line.seconds)
    return pace
