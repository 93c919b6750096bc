"""Power of a model behind servers: they stay up over ranging and testing, and what ends one ends the measurement."""

from __future__ import annotations

import json
import threading

import pytest
from power_parts import Engine, Server, Times, a_test, run_with_power
from role_parts import a_server
from run_parts import a_benchmark

from orchestrator.engines import ContainerExit

pytestmark = pytest.mark.sockets


class ServedEngine(Engine):
    """With the containers of servers, each of which ends when it is stopped; ``dies`` ends the server by itself."""

    def __init__(self, **more) -> None:
        super().__init__(**more)
        self.ends: dict[str, threading.Event] = {}
        self.dies = threading.Event()

    def run(self, spec, on_line):
        role = spec.name.removeprefix("mlorch-20260101T000000Z-x")
        if not role.startswith(("-probes", "-server", "-ceiling")):
            return super().run(spec, on_line)
        self.ran.append(role)
        end = self.ends.setdefault(spec.name, threading.Event())
        if role == "-probes":
            self.say = on_line
            on_line(json.dumps({"event": "holding"}))
        elif role == "-ceiling":
            return ContainerExit(container_id="k", exit_code=0, out_of_memory=False)
        elif role == "-ceiling-server":
            on_line("listening on port 7999\n")
        else:
            self.say(json.dumps({"event": "ready", "name": role[1:], "seconds": 0.1}))
            while not end.wait(0.05):
                if self.dies.is_set():
                    return ContainerExit(container_id="s", exit_code=9, out_of_memory=False)
        end.wait(60)
        return ContainerExit(container_id="s", exit_code=0, out_of_memory=False)

    def stop(self, name, grace_s=10):
        self.stopped.set()
        self.ends.setdefault(name, threading.Event()).set()


@pytest.fixture
def served(tmp_path):
    server, times = Server(), Times()
    roles = {"server": {"server": "llamacpp"}, "client": {"cpus": 1}}
    workload = {
        "benchmark": a_benchmark(roles=roles),
        "servers": {"llamacpp": a_server()},
        "server_images": {"llamacpp": "mlorch/serve-llamacpp-cpu:0123"},
    }
    yield lambda engine: run_with_power(tmp_path, engine, server, times, **workload)
    server.close()
    times.close()


def test_the_servers_are_started_once_and_stay_over_both_runs(served):
    engine = ServedEngine()
    outcome = served(engine)
    assert outcome.error is None, outcome.error
    assert [name for name in engine.ran if not name.startswith("-ceiling")] == [
        *("-probes", "-server", "-power", "-ranging", "", "-power-check"),
    ]
    assert (outcome.record.power.watts, [role.exit_code for role in outcome.record.roles]) == (40.0, [0])


def test_a_server_that_ends_while_ranging_ends_the_measurement_with_its_reason(served):
    engine = ServedEngine()

    def test(results, on_line):
        if results.name == "ranging":
            engine.dies.set()
            assert engine.stopped.wait(20), "the client went on without its server"
            return 137
        return a_test(results, on_line)

    engine._test = test
    outcome = served(engine)
    assert outcome.error.slug == "role-ended"
    assert "`server` ended with 9 while the client measured" in outcome.error.message
    assert "" not in engine.ran
    assert outcome.record.power.watts is None
    assert not (outcome.folder / "performance").exists()
