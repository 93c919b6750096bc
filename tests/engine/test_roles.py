"""A client and its server on real engines: one namespace, processors of their own, and a server that does not stay."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from test_run_containers import VALID, a_step, context, image  # noqa: F401 (fixtures)

from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.facts.roles import PlannedProbe, PlannedRole, PlannedRoles
from orchestrator.host.process import this_process
from orchestrator.operations.plan_cache import Selection
from orchestrator.results.store import Store
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher

pytestmark = pytest.mark.engine

SERVER = """
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == '/die':
            os._exit(9)
        self.send_response(503 if os.path.exists('/scratch/ill') and self.path == '/health' else 200)
        if self.path == '/ill':
            open('/scratch/ill', 'w').close()
        self.end_headers()
        self.wfile.write(str(sorted(os.sched_getaffinity(0))).encode())
    def log_message(self, *_): pass
print('serving', flush=True)
http.server.ThreadingHTTPServer(('127.0.0.1', 8000), Handler).serve_forever()
"""
LISTEN = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
"""The first process of a container hears no SIGTERM otherwise, and is waited for."""
CLIENT = f"""{LISTEN}
import json, os, socket, time, urllib.request
ask = lambda path: urllib.request.urlopen('http://127.0.0.1:8000' + path, timeout=5).read().decode()
facts = {{'server_cpus': json.loads(ask('/')), 'cpus': sorted(os.sched_getaffinity(0)),
         'interfaces': sorted(os.listdir('/sys/class/net'))}}
WHAT
json.dump({{'status': 'done', 'container': facts}}, open('/results/harness.json', 'w'))
"""


@pytest.fixture
def start(context, image, tmp_path):  # noqa: F811
    """Runs a client beside the server; gives the outcome. The probes' program is the one of the harness."""
    harness = context.plans(Selection(target="cpu", benchmarks=("image-fashion",))).plans[0].image
    if context.engine.image(harness) is None:
        from orchestrator.operations.build import build_images
        from orchestrator.operations.progress import Silent

        build_images(context, Selection(target="cpu", benchmarks=("image-fashion",)), Silent())

    def run(what: str, *, server: str = SERVER, startup_s: int = 20):
        step = a_step(image, tmp_path, "20260101T000000Z-x", CLIENT.replace("WHAT", what), 256 * 2**20, tmp_path)
        client = step.container
        probes = replace(
            client,
            name=f"{client.name}-probes",
            image=harness,
            mounts=(),
            command=("python3", "-m", "mlorch_harness.probes", json.dumps([{
                "name": "server", "url": "http://127.0.0.1:8000/health", "every_s": 0.2, "timeout_s": 2, "misses": 2,
            }])),
        )  # fmt: skip
        inside = f"container:{probes.name}"
        one = PlannedRole(
            name="server",
            role="server",
            stage=0,
            container=replace(
                client,
                name=f"{client.name}-server",
                network=inside,
                mounts=(),
                cpus=(1,),
                command=("python3", "-c", server),
            ),
            probe=PlannedProbe(port=8000, path="/health", startup_s=startup_s, every_s=0.2, timeout_s=2, misses=2),
        )
        step = replace(
            step,
            container=replace(client, network=inside),
            roles=PlannedRoles(probes=probes, servers=(one,)),
        )
        runner = Runner(
            engine=context.engine,
            store=Store(tmp_path),
            session=Session(name="s", owner=this_process(), mlorch_version="0", command_line=()),
            measure=lambda record, folder, found: (
                replace(VALID, verdict="INVALID" if record.role_faults else "VALID", reasons=record.role_faults),
                None,
            ),
            watcher=Watcher(),
        )
        about = RecordContext(recipe=RecipeId(name="x", origin="o", sha256="0"), image=ImageId(reference=image))
        outcome = runner.run(step, about)
        context.engine.wait_removed()
        left = [found.name for found in context.engine.containers(f"org.mlorch.run={step.run_id}")]
        assert left == []
        return outcome

    return run


def test_both_are_in_one_namespace_and_on_processors_of_their_own(start):
    outcome = start("")
    assert outcome.error is None
    facts = outcome.record.container_facts
    assert (facts["cpus"], facts["server_cpus"], facts["interfaces"]) == ([0], [1], ["lo"])
    (server,) = outcome.record.roles
    assert (server.exit_code, server.faults) == (0, ())
    assert server.deployed.differences == ()
    assert server.deployed.command[:2] == ("python3", "-c")
    assert outcome.record.container.deployed is None or outcome.record.container.deployed.differences == ()
    assert (outcome.folder / "console-server.log").read_text() == "serving\n"


def test_a_server_that_dies_in_mid_run_ends_the_test_with_the_reason(start):
    outcome = start("\ntry: ask('/die')\nexcept OSError: pass\ntime.sleep(60)")
    record = outcome.record
    assert (record.status, record.error.slug) == ("failed", "role-ended")
    assert "`server` ended with 9 while the client measured" in record.error.message
    assert record.roles[0].exit_code == 9


def test_a_server_that_stops_answering_makes_the_test_invalid(start):
    outcome = start("\nask('/ill')\ntime.sleep(2)")
    record = outcome.record
    assert (record.status, record.valid, record.measured.verdict) == ("done", False, "INVALID")
    assert "it answered 503" in record.role_faults[0]


def test_a_server_that_is_never_ready_is_told_with_its_log(start):
    began = time.monotonic()
    outcome = start("", server=f"{LISTEN}print('I wait', flush=True)\nimport time; time.sleep(60)", startup_s=3)
    assert time.monotonic() - began < 50
    assert outcome.record.error.slug == "not-ready"
    assert "did not answer within 3 s" in outcome.record.error.message
    assert "I wait" in outcome.error.detail
