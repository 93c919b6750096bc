"""Parts that tests of a run's record share: an engine made of a few lines, and a run of one step on it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from run_parts import a_run_environment, a_workload

from orchestrator.engines import ContainerExit, ContainerFacts
from orchestrator.facts.measured import LoadGenResult, Measured
from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.facts.record_file import from_json
from orchestrator.host.process import (
    this_process,
    this_user,
)
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.results.store import Store
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher

HARNESS = {
    "version": 1, "status": "done", "error": None, "container": {"python": "3.11.2", "uid": 1000},
    "effective": {"target_qps": {"value": 12.5, "source": "calibrated"}}, "accuracy": None,
}  # fmt: skip


@dataclass
class FakeEngine:
    """Runs a function in place of a container; keeps what is asked of it."""

    inside: object
    exit_code: int = 0
    out_of_memory: bool = False
    left: list[ContainerFacts] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    record_at_start: str = ""
    name: str = "fake"

    def run(self, spec, on_line):
        results = Path(next(mount.source for mount in spec.mounts if mount.target == "/results"))
        self.record_at_start = json.loads((results / "run.json").read_text())["status"]
        self.inside(results, on_line)
        return ContainerExit(container_id="c0ffee", exit_code=self.exit_code, out_of_memory=self.out_of_memory)

    def deployed(self, name):
        return None

    def containers(self, label):
        key, _, value = label.partition("=")
        return [c for c in self.left if key in c.labels and value in {"", c.labels[key]}]

    def remove(self, container_id):
        self.removed.append(container_id)
        self.left = [c for c in self.left if c.container_id != container_id]


def measured(*, valid: bool):
    """What reads a run's logs, for a test whose container writes none."""
    word = "VALID" if valid else "INVALID"
    result = LoadGenResult(scenario="Offline", mode="performance", validity=word)
    return lambda *_arguments: (Measured(verdict=word, loadgen=result), None)


def done(results: Path, on_line) -> None:
    on_line('{"event": "phase", "name": "test"}\n')
    on_line("plain words")
    (results / "harness.json").write_text(json.dumps(HARNESS))


def runner(tmp_path):
    """A function that runs one step, whose container does ``inside``, and gives what came of it."""

    def run(engine, *, secrets=(), watcher=None, measure=None, mode="performance"):
        step = plan_run(
            a_workload(),
            a_run_environment(results=str(tmp_path), artifacts=str(tmp_path.parent / "artifacts"), user=this_user()),
            Cell(scenario="Offline", mode=mode),
            "20260101T000000Z-x",
            Choices(),
        )
        step = replace(step, settings={**step.settings, "dataset": {"samples": 64}})  # as the recorded logs have it
        session = Session(
            name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch", "run"), secrets=secrets
        )
        record_context = RecordContext(
            recipe=RecipeId(name="b", origin="builtin", sha256="0"), image=ImageId(reference="i")
        )
        runner = Runner(
            engine=engine,
            store=Store(tmp_path),
            session=session,
            measure=measure or measured(valid=True),
            watcher=watcher or Watcher(),
        )
        return runner.run(step, record_context)

    return run


def record_in(folder: Path):
    """The one record below a folder, as a later command reads it."""
    place = next(folder.glob("*/run.json"))
    return from_json(place.read_text(), path=str(place))
