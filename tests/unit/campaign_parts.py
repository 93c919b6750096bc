"""Parts that the tests of campaigns share: a campaign of text, and runs of its cells that write real records."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path

from fake_run_parts import FakeEngine, done
from run_parts import a_run_environment, a_workload

from orchestrator.campaigns.expand import expand
from orchestrator.campaigns.keys import PlannedCell, digest, key_of
from orchestrator.definitions.kinds.campaigns import Campaign
from orchestrator.definitions.yaml import decode, read_document
from orchestrator.facts.measured import LoadGenResult, Measured
from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.host.process import this_process, this_user
from orchestrator.operations.campaign import run as campaign_run
from orchestrator.operations.campaign.request import CampaignRequest
from orchestrator.operations.progress import Silent
from orchestrator.operations.run.request import RunRequest
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.results.store import Store
from orchestrator.results.summary import summarise
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher

SCENARIOS = dict.fromkeys(("one", "two"), ("Offline", "SingleStream", "MultiStream", "Server"))


def a_campaign(text: str, **more: object) -> Campaign:
    """A campaign with this ``matrix`` in YAML, and other keys as JSON."""
    rest = "".join(f"{key}: {json.dumps(value)}\n" for key, value in more.items())
    whole = f"kind: campaign\nname: c\ntitle: A campaign\nmatrix: {text}\n{rest}"
    return decode(read_document("c.yaml", whole), Campaign)


def planned(campaign: Campaign, **inputs: str) -> tuple[PlannedCell, ...]:
    """Its cells, each with a key of its axes and of ``inputs``."""
    found = []
    for cell in expand(campaign, SCENARIOS):
        own = {**dict(cell.axes), "mode": cell.mode, "repetition": str(cell.repetition)}
        found.append(PlannedCell(cell=cell, shared=inputs, own=own, key=key_of(digest(inputs), own)))
    return tuple(found)


@dataclass
class Machine:
    """Stands in for `mlorch run`: makes real records, in the order that is kept in ``ran``.

    ``verdicts`` has what the tests of a cell come to, by a part of its title; ``stop`` is raised in place of the
    test of that number, before its record is closed or, with ``after``, once it is.
    """

    verdicts: dict[str, list[str]] = field(default_factory=dict)
    stop: tuple[int, BaseException] | None = None
    after: bool = False
    ran: list[str] = field(default_factory=list)
    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))

    def run(self, _context, request, _progress, _watcher, _held=None):
        number = next(self.numbers)
        words = f"{request.benchmarks[0]} {request.scenarios[0]} {request.mode} {request.duration or ''}".strip()
        self.ran.append(words)
        stops = self.stop is not None and number == self.stop[0]

        def inside(results, on_line):
            if stops and not self.after:
                raise self.stop[1]
            done(results, on_line)

        verdict = next((each.pop(0) for part, each in self.verdicts.items() if part in words and each), "")
        outcome = _runner(request, FakeEngine(inside=inside), verdict).run(_step(request, number), _CONTEXT)
        if stops and self.after:
            raise self.stop[1]
        if outcome.error is not None:
            raise outcome.error
        yield summarise(outcome.record, outcome.folder)


_CONTEXT = RecordContext(recipe=RecipeId(name="b", origin="builtin", sha256="0"), image=ImageId(reference="i"))


def _step(request: RunRequest, number: int):
    environment = a_run_environment(
        results=str(request.results), artifacts=str(request.results.parents[1] / "artifacts"), user=this_user()
    )
    cell = Cell(scenario=request.scenarios[0], mode=request.mode)
    return plan_run(a_workload(), environment, cell, f"20260101T0000{number % 60:02d}Z-{number:04x}", Choices())


def _runner(request: RunRequest, engine: FakeEngine, verdict: str) -> Runner:
    performance = request.mode == "performance"
    word = verdict or ("VALID" if performance else "PASSED")

    def measure(*_arguments):
        if performance:
            result = LoadGenResult(scenario=request.scenarios[0], mode="performance", validity=word)
            return Measured(verdict=word, loadgen=result), None
        return Measured(verdict=word), None

    session = Session(name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch", "run"))
    return Runner(engine=engine, store=Store(request.results), session=session, measure=measure, watcher=Watcher())


def a_run(campaign: Campaign, folder: Path, cells=None, *, again: bool = False) -> campaign_run.CampaignRun:
    """A campaign that is ready to run into ``folder``."""
    return campaign_run.CampaignRun(
        context=None,
        request=CampaignRequest(campaign="c", run=RunRequest(), again=again),
        campaign=campaign,
        folder=folder,
        planned=planned(campaign) if cells is None else cells,
    )


def run_all(ready: campaign_run.CampaignRun, machine: Machine, monkeypatch, progress=None):
    """Run what is left on ``machine``; gives the ends of the cells."""
    monkeypatch.setattr(campaign_run, "run", machine.run)
    return list(ready.run(progress or Silent(), campaign_run.CampaignWatcher()))


def good_records(folder: Path) -> dict[str, int]:
    """How many tests that count each cell has, by its folder."""
    found: dict[str, int] = {}
    for cell in sorted((folder / "cells").iterdir()):
        entries = [entry for entry in Store(cell).entries() if entry.record is not None]
        found[cell.name] = sum(summarise(entry.record, entry.folder).good for entry in entries)
    return found
