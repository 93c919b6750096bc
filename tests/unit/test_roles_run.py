"""A client and its servers from start to end: order, probes, and what happens when a server does not stay."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from role_parts import a_served_step

from orchestrator.engines import ContainerExit
from orchestrator.errors import InterruptedRun, StepFailed
from orchestrator.facts.measured import LoadGenResult, Measured
from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.facts.record_file import from_json
from orchestrator.host.process import this_process
from orchestrator.plan.run.user import RunUser
from orchestrator.results.measure import ceiling_of
from orchestrator.results.store import Store
from orchestrator.results.summary import summarise
from orchestrator.runs.ceilings import KEPT_S, Ceilings
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.role_logs import MovingLog
from orchestrator.runs.runner import Runner, Watcher

CEILING = {"version": 1, "processes": 1, "unix_ns": 10**18, "requests_per_s": 1500.0, "tokens_per_s": 48000.0}
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
    asked: set[str] = field(default_factory=set)
    image_id: str = "sha256:1"
    holds: bool = True

    def run(self, spec, on_line):
        self.order.append(spec.name.rpartition("-x")[2] or "client")
        end = self.stopped.setdefault(spec.name, threading.Event())
        role = spec.name.rpartition("-x")[2]
        if role == "-probes":
            self.say = lambda **event: on_line(json.dumps(event) + "\n")
            if self.holds:
                self.say(event="holding")
            end.wait(30)
            return ContainerExit(container_id="p", exit_code=0, out_of_memory=False)
        if role == "-ceiling":
            results = Path(next(mount.source for mount in spec.mounts if mount.target == "/results"))
            (results / "ceiling.json").write_text(json.dumps(CEILING))
            return ContainerExit(container_id="k", exit_code=0, out_of_memory=False)
        if role:
            if role == "-ceiling-server":
                on_line("listening on port 7999\n")
            elif role.startswith("-server"):
                on_line(f"{spec.name} serves\n")
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

    def image(self, reference):
        return SimpleNamespace(image_id=self.image_id)

    def containers(self, label):
        self.asked.add(label)
        return []


def measures(_engine, results, _end):
    """A client that does its work: an answer of every sample is in LoadGen's log."""
    (results / "harness.json").write_text(json.dumps(HARNESS))
    count = json.loads((results / "settings.json").read_text())["dataset"]["samples"]
    answers = (json.dumps({"seq_id": number, "qsl_idx": number, "data": "00"}) for number in range(count))
    (results / "mlperf_log_accuracy.json").write_text("[\n" + ",\n".join(answers) + "\n]\n")
    return 0


@pytest.fixture
def run_it(tmp_path):
    runners = {}

    def run(engine, mode="performance", **more):
        step = a_served_step(mode=mode, **more)
        own = str(tmp_path / step.run_id)

        def here(spec):
            mounts = tuple(
                replace(mount, source=mount.source.replace(f"/home/u/results/{step.run_id}", own))
                for mount in spec.mounts
                if mount.target != "/artifacts"
            )
            return replace(spec, mounts=mounts)

        user = RunUser(inside="1000:1000", owner="1000:1000")
        roles = replace(step.roles, ceiling=step.roles.ceiling and here(step.roles.ceiling))
        step = replace(step, container=here(step.container), roles=roles, results_owner=user.owner)
        context = RecordContext(recipe=RecipeId(name="b", origin="builtin", sha256="0"), image=ImageId(reference="i"))
        valid = LoadGenResult(scenario="Offline", mode="performance", validity="VALID")
        ceilings = Ceilings(path=tmp_path / "system" / "ceilings.json", engine=engine, clock=lambda: run.clock)
        runner = runners.get(id(engine)) or Runner(
            engine=engine,
            ceilings=ceilings,
            store=Store(tmp_path),
            session=Session(name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch", "run")),
            watcher=Watcher(),
            measure=lambda record, folder, harness: (with_faults(record, valid), None),
        )
        runners[id(engine)] = runner
        return runner.run(step, context)

    def end():
        for runner in runners.values():
            runner.kept.end()

    run.end, run.clock = end, 10**9 + 5.0
    yield run
    end()


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
    assert (record.status, record.valid, record.error.slug) == ("failed", False, "role-ended")
    assert summarise(record, outcome.folder).verdict == "INVALID"
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


def test_a_limit_of_mlorchs_own_is_not_called_the_recipes(run_it, monkeypatch):
    monkeypatch.setattr("orchestrator.runs.roles.OWN_S", 0.2)
    with pytest.raises(StepFailed, match=r"`probes` did not hold the network namespace within 0\.2 s") as caught:
        run_it(FakeEngine(measures, holds=False))
    assert caught.value.slug == "not-ready"
    assert "recipe" not in caught.value.hint


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


# -- the client's ceiling -----------------------------------------------------------------


def test_the_ceiling_is_measured_once_and_then_told_with_its_date(run_it):
    engine = FakeEngine(measures)
    run_it(engine)
    run_it.clock += KEPT_S / 2
    second = run_it(engine, name=SECOND)
    assert engine.order.count("-ceiling") == engine.order.count("-ceiling-server") == 1
    found = ceiling_of(second.folder)
    assert (found.requests_per_s, found.tokens_per_s, found.processes) == (1500.0, 48000.0, 1)
    assert found.unix_ns == 1_000_000_000 * 10**9


def test_the_ceiling_is_measured_again_after_a_day_with_another_image_and_with_other_processors(run_it):
    engine = FakeEngine(measures)
    run_it(engine)
    run_it(engine, name=SECOND, cores=3)
    assert engine.order.count("-ceiling") == 2, "the server has other processors"
    engine.image_id = "sha256:2"
    run_it(engine, name="20260101T000200Z-x")
    assert engine.order.count("-ceiling") == 3
    run_it.clock += KEPT_S + 1
    run_it(engine, name="20260101T000300Z-x")
    assert engine.order.count("-ceiling") == 4


def test_a_broken_file_of_ceilings_is_measured_over(run_it, tmp_path):
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "ceilings.json").write_text('{"version": 1, "ceilings": {"x": 7}}')
    engine = FakeEngine(measures)
    assert run_it(engine).error is None
    run_it(engine, name=SECOND)
    assert engine.order.count("-ceiling") == 1


# -- servers that stay --------------------------------------------------------------------

STAYS = {"server": "llamacpp", "restart": "run"}
FIRST, SECOND = "20260101T000000Z-x", "20260101T000100Z-x"


def test_servers_stay_over_accuracy_and_performance_where_the_recipe_wants_it(run_it):
    engine = FakeEngine(measures)
    first = run_it(engine, mode="accuracy", server=STAYS)
    kept = (first.folder / "console-server.log").read_text()
    second = run_it(engine, name=SECOND, server=STAYS)
    assert engine.order == ["-probes", "-server", "client", "-ceiling-server", "-ceiling", "client"]
    for outcome in (first, second):
        assert outcome.error is None
        (server,) = outcome.record.roles
        assert server.container is not None
        assert server.ready_s is not None
        assert (server.exit_code, server.faults) == (None, ())
        assert (outcome.folder / "console-server.log").read_text() == kept
    assert second.record.valid
    assert [outcome.record.roles[0].started_by for outcome in (first, second)] == ["", FIRST]
    assert FIRST in second.record.container.network, "the client joined the namespace of the first"
    assert f"org.mlorch.run={FIRST}" in engine.asked, "what they use is not taken for another program's"


def test_nothing_is_left_when_the_run_is_over(run_it):
    engine = FakeEngine(measures)
    run_it(engine, server=STAYS)
    assert [thread for thread in threading.enumerate() if thread.name in {"server", "probes"}]
    run_it.end()
    assert not [thread for thread in threading.enumerate() if thread.name in {"server", "probes"}]


@pytest.mark.parametrize(
    "other",
    [
        {"server": {"server": "llamacpp"}},
        {"server": {**STAYS, "parameters": {"threads": "7"}}},
        {"server": {**STAYS, "replicas": 2}},
    ],
)
def test_a_test_that_wants_other_servers_gets_its_own(run_it, other):
    engine = FakeEngine(measures)
    run_it(engine, mode="accuracy", server=STAYS, cores=3)
    second = run_it(engine, mode="accuracy", name=SECOND, cores=3, **other)
    assert engine.order.count("-probes") == 2
    assert second.record.roles[0].started_by == ""


def test_servers_that_ended_between_two_tests_are_started_anew(run_it):
    engine = FakeEngine(measures)
    run_it(engine, mode="accuracy", server=STAYS)
    engine.stop(next(name for name in engine.stopped if name.endswith("-server")))
    until = time.monotonic() + 10
    while any(thread.name == "server" for thread in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.01)
    second = run_it(engine, mode="accuracy", name=SECOND, server=STAYS)
    assert second.error is None
    assert engine.order.count("-server") == 2


def test_servers_of_a_test_that_failed_do_not_stay(run_it):
    engine = FakeEngine(lambda *_: 1)
    assert run_it(engine, mode="accuracy", server=STAYS).error is not None
    engine.client = measures
    assert run_it(engine, mode="accuracy", name=SECOND, server=STAYS).error is None
    assert engine.order.count("-server") == 2


def test_what_a_server_prints_between_two_tests_is_in_the_log_of_the_second(tmp_path):
    log = MovingLog(tmp_path / "first")
    log.write("one\n")
    log.leave()
    log.write("two\n")
    (tmp_path / "first").unlink()
    (tmp_path / "first").symlink_to("/etc/passwd")
    log.go_on(tmp_path / "second")
    log.write("three\n")
    log.close()
    assert (tmp_path / "second").read_text() == "one\ntwo\nthree\n"
