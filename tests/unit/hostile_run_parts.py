"""Parts that tests of what a container leaves share: a run whose container is a function, and records made anew."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

from results_parts import LOGS
from run_parts import a_run_environment, a_workload

from orchestrator.engines import ContainerExit
from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.facts.record_file import from_json, to_json
from orchestrator.host.process import this_process, this_user
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.results.store import Store
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher

RUN = "20260101T000000Z-x"


class Engine:
    """Runs a function in place of a container; `stop` ends one that waits for it."""

    name = "fake"

    def __init__(self, inside):
        self.inside, self.stopped = inside, threading.Event()

    def run(self, spec, on_line):
        results = Path(next(mount.source for mount in spec.mounts if mount.target == "/results"))
        code = self.inside(results, on_line) or 0
        return ContainerExit(container_id="c0ffee", exit_code=code, out_of_memory=False)

    def stop(self, _name):
        self.stopped.set()

    def deployed(self, _name):
        return None

    def containers(self, _label):
        return []


def runner(tmp_path):
    """A function that runs one test whose container is a function; its record is below ``tmp_path``."""

    def run(inside, *, mode="performance", **changes):
        engine = inside if isinstance(inside, Engine) else Engine(inside)
        environment = a_run_environment(
            results=str(tmp_path), artifacts=str(tmp_path.parent / "artifacts"), user=this_user()
        )
        step = plan_run(a_workload(), environment, Cell(scenario="Offline", mode=mode), RUN, Choices())
        step = replace(step, settings={**step.settings, "dataset": {"samples": 64}}, **changes)
        session = Session(name="s", owner=this_process(), mlorch_version="0", command_line=())
        runner = Runner(engine=engine, store=Store(tmp_path), session=session, watcher=Watcher())
        context = RecordContext(recipe=RecipeId(name="b", origin="o", sha256="0"), image=ImageId(reference="i"))
        return runner.run(step, context)

    return run


def leaving(case: str, then=lambda _results: None, **harness):
    """A container that leaves a recorded test, and does something more."""

    def inside(results: Path, on_line) -> None:
        on_line('{"event": "phase", "name": "test"}\n')
        for source in (LOGS / case).iterdir():
            shutil.copy(source, results)
        accuracy = None
        if case == "accuracy":
            accuracy = {"metric": "top1", "value": 95.0, "unit": "%", "correct": 61, "samples": 64}
        document = {"version": 2, "status": "done", "error": None, "accuracy": accuracy, **harness}
        (results / "harness.json").write_text(json.dumps(document))
        then(results)

    return inside


def kept(folder: Path):
    return from_json((folder / RUN / "run.json").read_text(), path="run.json")


def forge(folder: Path, **changes) -> None:
    """Record, hashes and seal made anew, as anybody can."""
    record = from_json((folder / "run.json").read_text(), path="run.json")
    (folder / "run.json").write_text(to_json(replace(record, **changes)))


def key_pairs(tmp_path):
    """A signer and a verifier, ours and somebody else's; the keys lie in ``tmp_path``."""
    from orchestrator.images.attest.signatures import generate, load_signer, load_verifier

    made = {}
    for name in ("own", "other"):
        private, public = generate("")
        (tmp_path / f"{name}.key").write_bytes(private)
        (tmp_path / f"{name}.pub").write_bytes(public)
        made[name] = (load_signer(tmp_path / f"{name}.key", lambda: ""), load_verifier(tmp_path / f"{name}.pub"))
    return made
