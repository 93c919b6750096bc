"""Somebody else's program as the client of servers: what is planned for it, and what it cannot be."""

from __future__ import annotations

import copy
import json
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from external_run_parts import PROGRAM, logs
from role_parts import a_server
from run_parts import SHA, a_benchmark, a_run_environment, a_workload

from orchestrator.definitions.kinds.recipes import Harness
from orchestrator.engines import ContainerExit
from orchestrator.errors import DefinitionError, UsageError
from orchestrator.facts.record import ImageId, RecipeId
from orchestrator.host.process import this_process, this_user
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.results.store import Store
from orchestrator.runs.record import RecordContext, Session
from orchestrator.runs.runner import Runner, Watcher

ROLES = {"server": {"server": "llamacpp", "replicas": 2}, "client": {"cpus": 1}}
ASKING = ["test", "--urls={endpoint.urls}", "--first={endpoint.url}", "--model={endpoint.model}"]


def a_step(
    *, roles=ROLES, argv=ASKING, mode="accuracy", results="/r", artifacts="/a", name="20260101T000000Z-x", **program
):
    theirs = copy.deepcopy(PROGRAM) | program
    theirs["steps"][1]["argv"] = argv
    harness = {
        "kind": "harness", "form": "external", "name": "theirs", "title": "t", "loadgen": "l", "deps": "d", "code": "c",
        "backends": {"onnxruntime": "ort"}, "program": theirs,
    }  # fmt: skip
    workload = a_workload(
        benchmark=a_benchmark(roles=roles, harness="theirs", input=None, output=None),
        harness=Harness.model_validate(harness),
        servers={"llamacpp": a_server()},
        server_images={"llamacpp": "mlorch/serve-llamacpp-cpu:0123"},
        probes_image="mlorch/probes-cpu:0123",
    )
    cell = Cell(scenario="Offline", mode=mode)
    environment = with_three_cores(a_run_environment(results=results, artifacts=artifacts, user=this_user()))
    return plan_run(workload, environment, cell, name, Choices())


def with_three_cores(environment):
    host = environment.host
    node = replace(host.nodes[0], cpus=tuple(range(6)))
    more = {"cores": ((0, 3), (1, 4), (2, 5)), "online_cpus": node.cpus, "allowed_cpus": node.cpus, "nodes": (node,)}
    return replace(environment, host=replace(host, **more))


def test_it_is_told_where_its_servers_are():
    step = a_step()
    test = next(one for one in step.external.steps if one.role == "run")
    first = "http://127.0.0.1:8000"
    assert test.container.command == (
        "test", f"--urls={first},http://127.0.0.1:8001", f"--first={first}", "--model=resnet8"
    )  # fmt: skip


def test_only_its_test_is_in_their_namespace_and_none_shares_a_processor_with_them():
    step = a_step()
    inside = f"container:{step.roles.probes.name}"
    assert [(one.role, one.container.network) for one in step.external.steps] == [
        ("prepare", "none"),
        ("run", inside),
        ("accuracy", "none"),
    ]
    servers = {cpu for one in step.roles.servers for cpu in one.container.cpus}
    assert len(servers) == 2
    assert not servers & {cpu for one in step.external.steps for cpu in one.container.cpus}


def test_it_keeps_the_model_as_its_vocabulary_may_lie_there_and_gets_no_device():
    step = a_step()
    for one in step.external.steps:
        assert "/models/resnet8" in [mount.target for mount in one.container.mounts]
        assert not one.container.devices


def test_its_servers_are_asked_from_an_image_with_what_asks_and_no_ceiling_of_its_own_is_known():
    step = a_step(mode="performance")
    assert step.roles.probes.image == "mlorch/probes-cpu:0123"
    assert (step.roles.null_server, step.roles.ceiling) == (None, None)
    asked = json.loads(step.roles.probes.command[-1])
    assert [one["name"] for one in asked] == ["server-0", "server-1"]


def test_a_dry_run_shows_the_servers_too():
    step = a_step()
    names = [container.name.rpartition("-x")[2] for container in step.containers]
    assert names[:3] == ["-probes", "-server-0", "-server-1"]
    assert len(names) == 3 + len(step.external.steps)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"argv": ["test"]}, "names its servers nowhere"),
        (
            {"deviations": [{"what": "network", "value": "bridge", "reason": "it wants to listen"}]},
            "wants the network `bridge`, and a client of servers has the run's own",
        ),
        ({"roles": {**ROLES, "client": {"cpus": 1, "processes": 2}}}, "has no `processes`"),
    ],
)
def test_what_cannot_be_a_client_is_refused_before_anything_starts(changes, words):
    with pytest.raises(UsageError) as caught:
        a_step(**changes)
    assert caught.value.slug == "no-client"
    assert words in caught.value.message


def test_a_program_that_wants_servers_says_so_where_a_benchmark_gives_it_none():
    with pytest.raises(DefinitionError) as caught:
        a_step(roles={})
    (problem,) = caught.value.problems()
    assert problem.slug == "template"
    assert "the benchmark's `roles` say which" in problem.hint


# -- its run ------------------------------------------------------------------------------


@dataclass
class Engine:
    """Containers as threads: servers that stay, end early or never answer, and the program's steps."""

    server: str = "stays"
    order: list[str] = field(default_factory=list)
    ends: dict[str, threading.Event] = field(default_factory=dict)
    say: object = None
    clients: list = field(default_factory=list)

    def run(self, spec, on_line):
        what = spec.name.rpartition("-x")[2].lstrip("-") or "test"
        self.order.append(what)
        end = self.ends.setdefault(spec.name, threading.Event())
        if what == "probes":
            self.say = lambda **event: on_line(json.dumps(event) + "\n")
            self.say(event="holding")
            end.wait(30)
        elif what.startswith("server"):
            return self._serve(what, end, on_line)
        elif what == "test":
            self.clients.append(spec)
            results = Path(next(mount.source for mount in spec.mounts if mount.target == "/results"))
            logs(results, "offline")
            if self.server == "dies":
                end.wait(30)
                return ContainerExit(container_id="t", exit_code=137, out_of_memory=False)
            on_line("done\n")
        return ContainerExit(container_id=what, exit_code=0, out_of_memory=False)

    def _serve(self, what, end, on_line):
        if self.server == "cannot start":
            on_line("no such model\n")
            return ContainerExit(container_id="s", exit_code=3, out_of_memory=False)
        self.say(event="ready", name=what)
        asked = end.wait(0.5 if self.server == "dies" and what == "server-1" else 30)
        return ContainerExit(container_id="s", exit_code=0 if asked else 9, out_of_memory=False)

    def stop(self, name, grace_s=10):
        self.ends.setdefault(name, threading.Event()).set()

    def deployed(self, _name):
        return None

    def containers(self, _label):
        return []


@pytest.fixture
def run_it(tmp_path):
    def run(engine, *, runner=None, **changes):
        own = {"results": str(tmp_path), "artifacts": str(tmp_path / "artifacts")}
        step = a_step(mode="performance", **own, **changes)
        only_test = tuple(one for one in step.external.steps if one.role == "run")
        external = replace(step.external, steps=only_test, expected={"scenario": "Offline"})
        settings = {**step.settings, "dataset": {"samples": 64}}  # as many as LoadGen's logs have
        step = replace(step, external=external, settings=settings, results_owner=this_user().owner)
        session = Session(name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch", "run"))
        context = RecordContext(recipe=RecipeId(name="b", origin="builtin", sha256=SHA), image=ImageId(reference="i"))
        own_runner = Runner(engine=engine, store=Store(tmp_path), session=session, watcher=Watcher())
        outcome = (runner or own_runner).run(step, context)
        if runner is not None:
            return outcome
        alive = {thread.name for thread in threading.enumerate()}
        assert not alive & {"probes", "server-0", "server-1"}
        return outcome

    return run


def test_its_servers_are_there_before_it_and_end_after_it(run_it):
    engine = Engine()
    outcome = run_it(engine)
    assert outcome.error is None
    assert (engine.order[0], sorted(engine.order[1:3]), engine.order[3]) == ("probes", ["server-0", "server-1"], "test")
    assert [(one.name, one.exit_code) for one in outcome.record.roles] == [("server-0", 0), ("server-1", 0)]
    assert [one.name for one in outcome.record.steps] == ["test"]


def test_a_server_that_dies_stops_it_and_is_the_reason(run_it):
    record = run_it(Engine(server="dies")).record
    assert (record.status, record.error.slug, record.valid) == ("failed", "role-ended", False)
    assert "`server-1` ended with 9 while the client measured" in record.error.message


def test_a_server_that_cannot_start_is_told_and_the_program_never_starts(run_it):
    engine = Engine(server="cannot start")
    outcome = run_it(engine)
    assert (outcome.record.error.slug, outcome.record.exit_code, outcome.record.steps) == ("role-ended", None, ())
    assert "before it was ready" in outcome.record.error.message
    assert "no such model" in outcome.error.detail
    assert "test" not in engine.order


def test_the_next_test_joins_the_servers_that_stay(run_it, tmp_path):
    engine = Engine()
    session = Session(name="s", owner=this_process(), mlorch_version="0", command_line=("mlorch", "run"))
    runner = Runner(engine=engine, store=Store(tmp_path), session=session, watcher=Watcher())
    roles = {"server": {"server": "llamacpp", "replicas": 2, "restart": "run"}, "client": {"cpus": 1}}
    first = run_it(engine, runner=runner, roles=roles)
    second = run_it(engine, runner=runner, roles=roles, name="20260101T000100Z-x")
    runner.kept.end()
    assert (first.error, second.error) == (None, None)
    assert engine.order.count("probes") == 1
    assert {spec.network for spec in engine.clients} == {"container:mlorch-20260101T000000Z-x-probes"}
