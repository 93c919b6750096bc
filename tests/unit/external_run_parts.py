"""Somebody else's harness and an engine made of a few lines, to see what becomes of a run."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from results_parts import LOGS
from run_parts import SHA, a_benchmark, a_run_environment, a_workload

from orchestrator.definitions.kinds.harnesses import Harness
from orchestrator.engines import ContainerExit
from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.facts.record_file import from_json
from orchestrator.host.process import this_process, this_user
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.results.store import Store
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher

PROGRAM = {
    "source": "/opt/theirs",
    "parameters": {"depth": {"type": "int", "default": "3"}},
    "files": [{"path": "user.conf", "format": "user.conf"}],
    "steps": [
        {"name": "compile", "role": "prepare", "argv": ["compile", "{model.file}"], "artifact": {"files": ["net.bin"]}},
        {"name": "test", "role": "run", "argv": ["test", "--depth={param.depth}"], "timeout": "1s"},
        {"name": "score", "role": "accuracy", "when": {"mode": "accuracy"}, "argv": ["score"]},
    ],
    "logs": {"folder": "logs/*"},
    "expect": {"console_has": ["^done$"], "console_lacks": ["^ERROR"]},
    "accuracy": {
        "step": "score",
        "figures": [{"name": "top1", "pattern": "^acc=([^%]+)%", "samples": "of ([0-9]+)", "unit": "%"}],
    },
}


def logs(results: Path, kind: str, folder: str = "logs/1") -> None:
    """LoadGen's logs of a real test, where the program leaves them."""
    (results / folder).mkdir(parents=True)
    for path in (LOGS / kind).iterdir():
        if path.name.startswith("mlperf_log_"):
            shutil.copyfile(path, results / folder / path.name)


@dataclass
class Programs:
    """Stands for the containers: a function for each step; keeps the specs that it was given."""

    steps: dict
    specs: list = field(default_factory=list)
    codes: dict = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, spec, on_line):
        self.specs.append(spec)
        name = spec.command[0]
        folders = {mount.target: Path(mount.source) for mount in spec.mounts}
        for mount in spec.mounts:
            if not mount.source.startswith(("/cache/m", "/cache/my")):
                assert Path(mount.source).exists(), mount
        self.steps[name](folders, on_line)
        code = 137 if self.stopped.is_set() else self.codes.get(name, 0)
        return ContainerExit(container_id=name, exit_code=code, out_of_memory=False)

    def deployed(self, _name):
        return None

    def stop(self, _container_id, _grace_s=10):
        self.stopped.set()

    def containers(self, _label):
        return []


def compiled(folders, on_line):
    (folders["/artifacts/compile"] / "net.bin").write_bytes(b"engine")
    on_line("compiled\n")


def leaving(kind="offline"):
    def test(folders, on_line):
        assert (folders["/artifacts/compile"] / "net.bin").read_bytes() == b"engine"
        logs(folders["/results"], kind)
        on_line("done\n")

    return test


def scored(text="acc=91.54% of 64\n"):
    return lambda _folders, on_line: on_line(text)


def make_run(tmp_path):
    """A function that runs one test of the program whose steps do ``steps``; gives what came of it."""
    numbers = iter(range(100))

    def run(engine, *, mode="performance", program=None, goals=(), samples=None):
        harness = Harness.model_validate(
            {
                "kind": "harness", "form": "external", "name": "theirs", "title": "t", "loadgen": "l", "deps": "d",
                "code": "c", "backends": {"onnxruntime": "ort"}, "program": {**PROGRAM, **(program or {})},
            }
        )  # fmt: skip
        benchmark = a_benchmark(performance_samples=64, scenarios={"Offline": {"target_qps": 100}})
        workload = replace(a_workload(), harness=harness, benchmark=benchmark)
        folder = tmp_path / "results"
        folder.mkdir(exist_ok=True)
        environment = a_run_environment(results=str(folder), artifacts=str(tmp_path / "artifacts"), user=this_user())
        identifier = f"2026010{next(numbers)}T000000Z-x"
        step = plan_run(workload, environment, Cell(scenario="Offline", mode=mode), identifier, Choices())
        assert step.external is not None
        step = replace(
            step,
            external=replace(step.external, expected={"scenario": "Offline"}),
            settings={**step.settings, "dataset": {"samples": samples}},
        )
        session = Session(name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch", "run"))
        context = RecordContext(
            recipe=RecipeId(name="b", origin="builtin", sha256=SHA),
            image=ImageId(reference="i"),
            accuracy_goal=goals[0] if goals else None,
            other_goals=goals[1:],
        )
        outcome = Runner(engine=engine, store=Store(folder), session=session, watcher=Watcher()).run(step, context)
        return outcome, from_json((outcome.folder / "run.json").read_text(), path="run.json")

    return run


def programs(test=None, score=None, compile_it=compiled, **more):
    return Programs({"compile": compile_it, "test": test or leaving(), "score": score or scored()}, **more)
