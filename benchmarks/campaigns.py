"""What a campaign of 12,217 cells costs beside its tests: to plan it, to ask how far it is, to go on with it.

As many as the results that were once sent to one round of MLPerf Inference. Their journal and folders are invented.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from common import Bar, least, mlorch, wall_seconds

if TYPE_CHECKING:
    from orchestrator.operations.campaign.plan import CampaignPlan
    from orchestrator.operations.campaign.run import CampaignRun

CELLS = 12_217
TURNS = 5
FEW, MANY = 10, 1000
CAMPAIGN = """\
kind: campaign
name: large
title: As many cells as results were sent to one round
matrix:
  benchmark: [image-smoke, image-fashion]
  scenario: Server
  duration: [1s, 2s, 3s]
  target_qps: {from: 1, to: 6000, step: 1}
sample: {cells: 12215, seed: 1}
"""


class FoundItsPlace(Exception):
    """Raised in place of the first test."""


def measure() -> list[Bar]:
    """Planning and status as whole processes, the rest as it is called."""
    with tempfile.TemporaryDirectory(prefix="mlorch-bench-") as folder:
        place = Path(folder)
        os.environ["MLORCH_HOME"] = str(place / "home")
        path, results = place / "large.yaml", place / "results"
        path.write_text(CAMPAIGN, encoding="utf-8")
        plan = mlorch("campaign", "plan", str(path), "-o", str(results))
        peak = _peak(plan)
        found = invent(path, results)
        lines = {
            "plan": mlorch("campaign", "plan", str(path), "-o", str(place / "none")),
            "plan again": plan,
            "status": mlorch("campaign", "status", str(path), "-o", str(results)),
            "start": mlorch("--version"),
        }
        samples: dict[str, list[float]] = {name: [] for name in (*lines, "place")}
        for _ in range(TURNS):
            for name, argv in lines.items():
                samples[name].append(_wall(argv))
            samples["place"].append(place_seconds(ready(path, results, found)))
        best = least(samples)
        few, many = (per_cell(place / str(number), found, number) for number in (FEW, MANY))
    start = f"of which {best['start']:.2f} s is the start of mlorch"
    cells = f"{CELLS:,} cells"
    return [
        Bar(what=f"`mlorch campaign plan` of {cells}", value=best["plan"], bar=2, unit="s", detail=start),
        Bar(
            what=f"`mlorch campaign plan` of {cells} that are measured",
            value=best["plan again"], bar=2.5, unit="s", detail=start,
        ),
        Bar(what=f"`mlorch campaign plan` of {cells}: memory", value=peak / 2**20, bar=200, unit="MB"),
        Bar(what=f"`mlorch campaign status` of {cells}", value=best["status"], bar=0.5, unit="s", detail=start),
        Bar(
            what=f"`mlorch campaign resume` of {cells} finds its place",
            value=best["place"], bar=1, unit="s", detail="from the planned cells to the first that is left",
        ),
        Bar(
            what="journal and folder of a cell",
            value=many, bar=0.5, unit="s", detail=f"of {MANY:,} cells; {few:.3f} s of {FEW}",
        ),
    ]  # fmt: skip


def _wall(argv: list[str]) -> float:
    """A status of a campaign that is not done exits with 1."""
    if "status" not in argv:
        return wall_seconds(argv)
    began = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode != 1 or f"{CELLS:,} cells" not in done.stdout.replace("12217", "12,217"):
        raise RuntimeError(f"{argv} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return took


def _peak(argv: list[str]) -> int:
    """The most memory that a process had, in bytes."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv} ended with {process.returncode}")
    return usage.ru_maxrss * 1024


def _request(path: Path, results: Path):
    from orchestrator.operations.campaign.request import CampaignRequest
    from orchestrator.operations.run.request import RunRequest

    return CampaignRequest(campaign=str(path), run=RunRequest(results=results))


def invent(path: Path, results: Path) -> CampaignPlan:
    """The campaign as if all cells but the last had been run: a journal, and a folder with a file for each."""
    from orchestrator.campaigns.folder import cell_folder, kept, write_plan
    from orchestrator.campaigns.journal import DONE, Journal, JournalLine
    from orchestrator.operations.campaign.plan import campaign_plan
    from orchestrator.operations.context import Context

    found = campaign_plan(Context(), _request(path, results))
    if len(found.cells) != CELLS:
        raise RuntimeError(f"{len(found.cells)} cells in place of {CELLS}")
    planned = [each.planned for each in found.cells]
    write_plan(found.folder, found.campaign.name, [kept(each) for each in planned])
    journal, sync = Journal(found.folder), os.fsync
    os.fsync = lambda _descriptor: None  # nobody has to keep this
    try:
        for number, each in enumerate(planned[:-1]):
            run = f"20261129T000000Z-{each.folder}-{number:04x}"
            where = cell_folder(found.folder, each.folder) / run
            where.mkdir(parents=True)
            (where / "run.json").touch()
            journal.append(JournalLine(each.cell.place, each.folder))
            journal.append(JournalLine(each.cell.place, each.folder, DONE, (run,), 12.5))
    finally:
        os.fsync = sync
    return found


def ready(path: Path, results: Path, found: CampaignPlan) -> CampaignRun:
    """The campaign, planned."""
    from orchestrator.operations.campaign.run import CampaignRun

    return CampaignRun(
        context=None,
        request=_request(path, results),
        campaign=found.campaign,
        folder=found.folder,
        planned=tuple(each.planned for each in found.cells),
    )  # type: ignore[arg-type]  # nothing is run


def place_seconds(run: CampaignRun) -> float:
    """Until the first cell that is left would begin."""
    from orchestrator.operations.campaign.run import CampaignWatcher
    from orchestrator.operations.progress import Silent

    class Stop(CampaignWatcher):
        def cell(self, *_arguments: object) -> None:
            raise FoundItsPlace

    began = time.perf_counter()
    try:
        list(run.run(Silent(), Stop()))
    except FoundItsPlace:
        return time.perf_counter() - began
    raise RuntimeError("no cell was left")


def per_cell(folder: Path, found: CampaignPlan, number: int) -> float:
    """Seconds of a cell whose test takes none: its folder, its lines in the journal, on the disk."""
    from orchestrator.operations.campaign import run as campaign_run
    from orchestrator.operations.progress import Silent

    def test(*_arguments: object):
        record = SimpleNamespace(benchmark="b", scenario="s", test_name="performance", run_id="r", status="done")
        yield SimpleNamespace(record=record, good=True)

    real, campaign_run.run = campaign_run.run, test
    try:
        run = ready(Path("large"), folder, found)
        run.folder, run.planned = folder, run.planned[:number]
        began = time.perf_counter()
        list(run.run(Silent(), campaign_run.CampaignWatcher()))
        return (time.perf_counter() - began) / number
    finally:
        campaign_run.run = real


if __name__ == "__main__":
    json.dump(
        [{"what": bar.what, "value": bar.value, "bar": bar.bar, "kept": bar.kept} for bar in measure()], sys.stdout
    )
