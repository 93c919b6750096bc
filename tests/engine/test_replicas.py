"""The harness as the client of two replicas on real engines: load spread, one that dies, servers that stay."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from test_run_containers import a_step, context  # noqa: F401 (fixtures)

from orchestrator.facts.containers import Mount
from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.facts.roles import PlannedProbe, PlannedRole, PlannedRoles
from orchestrator.host.process import this_process
from orchestrator.operations.plan_cache import Selection
from orchestrator.results.store import Store
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher

np = pytest.importorskip("numpy")
pytestmark = pytest.mark.engine

SAMPLES, LIMIT = 64, 6
SERVER = r"""
import http.server, json, os, signal, sys, threading
port, dies_after = int(sys.argv[1]), int(sys.argv[2])
answered, lock = [0], threading.Lock()
def end(*_):
    os.write(1, b"answered %d\n" % answered[0])
    os._exit(0)
signal.signal(signal.SIGTERM, end)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        known = self.path in ("/health", "/v1/models")
        body = b'{"object": "list", "data": [{"id": "small", "object": "model", "owned_by": "vllm"}]}'
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            answered[0] += 1
        if dies_after and answered[0] > dies_after:
            os._exit(9)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(asked["max_tokens"]):
            self.event(dict(choices=[dict(index=0, text=" a", token_ids=[100 + at])], model="small"))
        last = dict(index=0, text="", finish_reason="length")
        self.event(dict(choices=[last], usage=dict(completion_tokens=asked["max_tokens"])))
        self.wfile.write(b"0\r\n\r\n")
    def event(self, document):
        data = b"data: " + json.dumps(document).encode() + b"\n\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
print("serving", flush=True)
Server(("127.0.0.1", port), Handler).serve_forever()
"""
FIRST, SECOND = "20260101T000000Z-x", "20260101T000100Z-x"


@pytest.fixture(scope="module")
def harness(context):  # noqa: F811
    """The image of a client of servers, built where it is absent."""
    selection = Selection(target="cpu", benchmarks=("llm-chat",), changes=("serving=llamacpp",))
    found = context.plans(selection).plans[0].image
    if context.engine.image(found) is None:
        from orchestrator.operations.build import build_images
        from orchestrator.operations.progress import Silent

        build_images(context, selection, Silent())
    return found


def settings(mode: str, processes: int) -> dict:
    arrays = {name: f"/data/{name}.npy" for name in ("inputs", "lengths")}
    loadgen = {
        "min_duration_ms": 1000, "max_duration_ms": 0, "min_query_count": 1, "target_qps": 1500.0,
        "expected_latency_ns": None, "target_latency_ns": None, "target_latency_percentile": None,
        "samples_per_query": None, "ttft_latency_ns": None, "tpot_latency_ns": None,
    }  # fmt: skip
    return {
        "version": 2, "run_id": "test", "benchmark": "llm-chat", "task": "text-generation", "scenario": "Offline",
        "mode": mode, "backend": "openai", "providers": [],
        "model": {
            "path": "/nowhere", "outputs": ["tokens"],
            "inputs": [{"name": "tokens", "dtype": "int32", "scale": 1.0, "array": "inputs", "varies": True}],
        },
        "dataset": {"arrays": arrays, "samples": SAMPLES, "performance_samples": SAMPLES},
        "loadgen": loadgen,
        "execution": {
            "cpus": [0], "instances": None, "threads": None, "batch": 8, "batch_delay_us": None, "processes": processes
        },
        "accuracy": {"metric": "rouge1", "unit": ""},
        "generation": {"limit": LIMIT},
        "endpoint": {"urls": ["http://127.0.0.1:8000", "http://127.0.0.1:8001"], "model": "small", "key_file": None},
    }  # fmt: skip


@pytest.fixture
def tests(context, harness, tmp_path):  # noqa: F811
    """Runs tests of one run; gives a function for one test, and ends what stays of it."""
    data = tmp_path / "data"
    data.mkdir()
    np.save(data / "inputs.npy", np.ones((SAMPLES, 4), np.int32))
    np.save(data / "lengths.npy", np.full(SAMPLES, 4, np.int32))
    runner = Runner(
        engine=context.engine,
        store=Store(tmp_path),
        session=Session(name="s", owner=this_process(), mlorch_version="0", command_line=()),
        watcher=Watcher(),
    )

    def run(name: str = FIRST, *, mode="performance", processes=1, dies_after=0, restart="mode"):
        step = a_step(harness, tmp_path, name, "", 512 * 2**20, tmp_path)
        client = replace(step.container, name=f"{step.container.name}-{name[:15]}")
        own = f"{client.name}-probes"
        asked, servers = [], []
        for number in range(2):
            replica, port = f"server-{number}", 8000 + number
            probe = PlannedProbe(port=port, path="/health", startup_s=30, every_s=0.5, timeout_s=5, misses=3)
            asked.append({
                "name": replica, "url": f"http://127.0.0.1:{port}/health", "every_s": 0.5, "timeout_s": 5, "misses": 3
            })  # fmt: skip
            words = ("python3", "-c", SERVER, str(port), str(dies_after if number == 1 else 0))
            container = replace(
                client, name=f"{client.name}-{replica}", network=f"container:{own}", mounts=(), cpus=(1,), command=words
            )
            servers.append(PlannedRole(name=replica, role="server", stage=0, container=container, probe=probe))
        command = ("python3", "-m", "mlorch_harness.probes", json.dumps(asked))
        probes = replace(client, name=own, mounts=(), command=command)
        client = replace(
            client,
            network=f"container:{own}",
            command=("python3", "-m", "mlorch_harness", "/results/settings.json"),
            mounts=(*client.mounts, Mount(source=str(data), target="/data")),
        )
        step = replace(
            step,
            mode=mode,
            container=client,
            settings=settings(mode, processes),
            roles=PlannedRoles(probes=probes, servers=tuple(servers), restart=restart),
        )
        about = RecordContext(recipe=RecipeId(name="x", origin="o", sha256="0"), image=ImageId(reference=harness))
        outcome = runner.run(step, about)
        context.engine.wait_removed()
        return outcome

    def left() -> list[str]:
        found = [context.engine.containers(f"org.mlorch.run={name}") for name in (FIRST, SECOND)]
        return [one.name for each in found for one in each]

    run.left, run.end = left, runner.kept.end
    yield run
    runner.kept.end()
    context.engine.wait_removed()
    assert left() == []


def answered(outcome, number: int) -> int:
    """How many requests a replica had, as it said at its end."""
    return int(
        re.search(r"^answered (\d+)$", (outcome.folder / f"console-server-{number}.log").read_text(), re.MULTILINE)[1]
    )


@pytest.mark.parametrize("processes", [1, 2])
def test_two_replicas_share_the_requests_of_one_client(tests, processes):
    outcome = tests(processes=processes)
    record = outcome.record
    assert outcome.error is None, (outcome.folder / "console.log").read_text()[-2000:]
    assert (record.valid, record.measured.verdict) == (True, "VALID")
    assert [(one.name, one.exit_code, one.faults) for one in record.roles] == [("server-0", 0, ()), ("server-1", 0, ())]
    assert record.settings["processes"].value == processes
    first, second = answered(outcome, 0), answered(outcome, 1)
    assert first + second > 100
    assert 0.4 < first / (first + second) < 0.6
    assert tests.left() == []


def test_a_replica_that_dies_makes_the_test_invalid_and_is_named(tests):
    outcome = tests(dies_after=30)
    record = outcome.record
    assert (record.status, record.valid, record.measured.verdict) == ("failed", False, "INVALID")
    assert record.error.slug == "role-ended"
    assert "`server-1` ended with 9 while the client measured" in record.error.message
    assert [one.exit_code for one in record.roles] == [0, 9]
    assert tests.left() == []


def test_replicas_stay_over_accuracy_and_performance_of_a_run(tests):
    accuracy = tests(mode="accuracy", restart="run")
    there = tests.left()
    performance = tests(SECOND, restart="run")
    assert (accuracy.record.status, accuracy.record.error) == ("done", None)
    assert performance.record.valid is True
    assert sorted(name.rpartition("-x-")[2] or name for name in there) == sorted(
        name.rpartition("-x-")[2] or name for name in tests.left()
    )
    assert len(there) == 3
    for outcome, began in ((accuracy, ""), (performance, FIRST)):
        for one in outcome.record.roles:
            assert (one.started_by, one.exit_code) == (began, None)
            assert one.container_id
            assert one.deployed.differences == ()
            assert one.ready_s is not None
            assert (outcome.folder / f"console-{one.name}.log").read_text() == "serving\n"
    disturbance = performance.record.disturbance
    assert not disturbance.others or disturbance.others < 0.9, "its own servers are no other program"
    tests.end()
