"""A client and its servers from start to end: order, probes, and what happens when a server does not stay."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from role_parts import a_served_step

from orchestrator.engines import ContainerExit
from orchestrator.errors import InterruptedRun
from orchestrator.facts.measured import LoadGenResult, Measured
from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.facts.record_file import from_json
from orchestrator.host.process import this_process
from orchestrator.plan.run.user import RunUser
from orchestrator.results.store import Store
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher

HARNESS = {"version": 2, "status": "done", "error": None, "container": {}, "effective": {}, "accuracy": None}


@dataclass
class FakeEngine:
    """Containers as threads: each ends when it is stopped, or when what it does is over."""

    client: object
    server_ends: int | None = None
    out_of_memory: bool = False
    never_ready: bool = False
    name: str = "fake"
    order: list[str] = field(default_factory=list)
    stopped: dict[str, threading.Event] = field(default_factory=dict)
    say: object = None

    def run(self, spec, on_line):
        self.order.append(spec.name.rpartition("-x")[2] or "client")
        end = self.stopped.setdefault(spec.name, threading.Event())
        role = spec.name.rpartition("-x")[2]
        if role == "-probes":
            self.say = lambda **event: on_line(json.dumps(event) + "\n")
            self.say(event="holding")
            end.wait(30)
            return ContainerExit(container_id="p", exit_code=0, out_of_memory=False)
        if role == "-ceiling":
            return ContainerExit(container_id="k", exit_code=0, out_of_memory=False)
        if role:
            if not self.never_ready:
                self.say(event="ready", name=role[1:], seconds=0.1)
            died = end.wait(30 if self.server_ends is None or role == "-ceiling-server" else 0.3)
            code = 0 if died else self.server_ends or 0
            return ContainerExit(container_id="s", exit_code=code, out_of_memory=self.out_of_memory and not died)
        results = Path(next(mount.source for mount in spec.mounts if mount.target == "/results"))
        code = self.client(self, results, end)
        return ContainerExit(container_id="c", exit_code=code or 0, out_of_memory=False)

    def stop(self, name, grace_s=10):
        self.stopped.setdefault(name, threading.Event()).set()

    def deployed(self, name):
        return None

    def containers(self, label):
        return []


def measures(_engine, results, _end):
    (results / "harness.json").write_text(json.dumps(HARNESS))
    return 0


@pytest.fixture
def run_it(tmp_path):
    def run(engine, mode="performance"):
        step = a_served_step(mode=mode)
        own = str(tmp_path / step.run_id)

        def here(spec):
            mounts = tuple(
                replace(mount, source=mount.source.replace(f"/home/u/results/{step.run_id}", own))
                for mount in spec.mounts
                if mount.target != "/artifacts"
            )
            return replace(spec, mounts=mounts)

        user = RunUser(inside="1000:1000", owner="1000:1000")
        step = replace(step, container=here(step.container), results_owner=user.owner)
        context = RecordContext(recipe=RecipeId(name="b", origin="builtin", sha256="0"), image=ImageId(reference="i"))
        valid = LoadGenResult(scenario="Offline", mode="performance", validity="VALID")
        runner = Runner(
            engine=engine,
            store=Store(tmp_path),
            session=Session(name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch", "run")),
            watcher=Watcher(),
            measure=lambda record, folder, harness: (with_faults(record, valid), None),
        )
        return runner.run(step, context)

    return run


def with_faults(record, result):
    verdict = "INVALID" if record.role_faults else "VALID"
    return Measured(verdict=verdict, reasons=record.role_faults, loadgen=result)


def test_the_namespace_comes_first_then_the_ceiling_then_the_servers_then_the_client(run_it):
    engine = FakeEngine(measures)
    outcome = run_it(engine)
    assert outcome.error is None
    assert engine.order == ["-probes", "-ceiling-server", "-ceiling", "-server", "client"]
    record = outcome.record
    assert (record.status, record.valid) == ("done", True)
    (server,) = record.roles
    assert (server.name, server.exit_code, server.faults) == ("server", 0, ())
    assert server.ready_s is not None
    assert server.container.cpus == (1,)


def test_nothing_is_left_running_when_the_client_has_ended(run_it):
    engine = FakeEngine(measures)
    run_it(engine)
    assert all(event.is_set() for name, event in engine.stopped.items() if not name.endswith(("-x", "-ceiling")))
    assert not [thread for thread in threading.enumerate() if thread.name in {"server", "probes"}]


def test_a_server_that_ends_in_mid_run_stops_the_client_and_is_the_reason(run_it):
    def waits(_engine, _results, end):
        assert end.wait(10), "the client was not stopped"
        return 1

    outcome = run_it(FakeEngine(waits, server_ends=139))
    record = outcome.record
    assert (record.status, record.valid, record.error.slug) == ("failed", None, "role-ended")
    assert "`server` ended with 139 while the client measured" in record.error.message
    assert record.roles[0].exit_code == 139


def test_a_client_that_hears_of_the_servers_end_first_does_not_hide_it(run_it):
    def fails_at_once(_engine, _results, _end):
        time.sleep(0.25)  # the server ends at 0.3 s
        return 1

    outcome = run_it(FakeEngine(fails_at_once, server_ends=1))
    assert outcome.record.error.slug == "role-ended"


def test_a_server_that_is_killed_for_memory_says_so(run_it):
    def waits(_engine, _results, end):
        end.wait(10)
        return 1

    outcome = run_it(FakeEngine(waits, server_ends=137, out_of_memory=True))
    assert outcome.record.error.slug == "out-of-memory"
    assert outcome.record.roles[0].out_of_memory


def test_a_server_that_fails_its_probes_makes_a_valid_test_invalid(run_it):
    def measures_meanwhile(engine, results, end):
        engine.say(event="missed", name="server", why="no answer within 5 s", row=1)
        engine.say(event="unhealthy", name="server", why="no answer within \x1b[31m5 s")
        return measures(engine, results, end)

    record = run_it(FakeEngine(measures_meanwhile)).record
    assert (record.status, record.valid, record.measured.verdict) == ("done", False, "INVALID")
    (fault,) = record.role_faults
    assert "failed its probe" in fault
    assert "\x1b" not in fault
    assert record.roles[0].missed == 1


def test_a_server_that_ends_before_it_is_ready_is_a_failed_test_and_no_crash(run_it, monkeypatch):
    engine = FakeEngine(measures, server_ends=2, never_ready=True)
    outcome = run_it(engine, mode="accuracy")
    assert (outcome.record.status, outcome.record.error.slug) == ("failed", "role-ended")
    assert "before it was ready" in outcome.record.error.message
    assert outcome.record.exit_code is None
    assert "client" not in engine.order


def test_a_run_that_is_cut_short_still_tells_of_its_servers(run_it, tmp_path):
    def interrupted(_engine, _results, _end):
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRun):
        run_it(FakeEngine(interrupted))
    place = next(tmp_path.glob("*/run.json"))
    record = from_json(place.read_text(), path=str(place))
    assert record.status == "interrupted"
    assert record.roles[0].ready_s is not None
    assert record.roles[0].exit_code == 0
