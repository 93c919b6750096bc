"""What a person sees of a campaign: each test as `mlorch run` shows it, the cells' number and the time that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.commands.campaign_plan import time_words
from orchestrator.commands.run_view import RunView
from orchestrator.operations.campaign.run import CampaignWatcher

if TYPE_CHECKING:
    from rich.progress import TaskID

    from orchestrator.campaigns.keys import PlannedCell
    from orchestrator.console import Console
    from orchestrator.facts.runs import RunStep
    from orchestrator.operations.campaign.run import CellEnd


class CampaignView(RunView, CampaignWatcher):
    """Follows the cells of a campaign, and the test of the one that runs."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._all: TaskID | None = None
        self._number = self._total = 0
        self._cell = ""

    def cell(self, planned: PlannedCell, number: int, total: int, left_s: float | None) -> None:
        """A cell begins; on a terminal a line below its test says how many there are and how long they may take."""
        self._number, self._total, self._cell = number, total, planned.cell.title
        left = "" if left_s is None else f"about {time_words(left_s)} left"
        if self._progress is None:
            if left:
                self._console.say(f"{total - number + 1} of {total} cells left, {left}", style="dim")
            return
        if self._all is None:
            self._all = self._progress.add_task("campaign", total=total, note="")
        words = f"cell {number} of {total}" + (f", {left}" if left else "")
        self._progress.update(self._all, completed=number - 1, note=words)

    def title(self, step: RunStep, number: int, total: int) -> str:  # noqa: ARG002 (a cell has one test)
        """The test of a cell, under the cell's number and with all its axes."""
        return f"[{self._number}/{self._total}] {self._cell}"

    def ended(self, end: CellEnd) -> None:
        """A try of a cell ended; that it failed before its test is told already."""
        if self._progress is not None and self._all is not None and end.outcome == "done":
            self._progress.update(self._all, completed=self._number)
