"""Somebody else's program as the client of servers: what is planned for it, and what it cannot be."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
from external_run_parts import PROGRAM
from role_parts import a_server
from run_parts import a_benchmark, a_run_environment, a_workload

from orchestrator.definitions.kinds.recipes import Harness
from orchestrator.errors import DefinitionError, UsageError
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices

ROLES = {"server": {"server": "llamacpp", "replicas": 2}, "client": {"cpus": 1}}
ASKING = ["test", "--urls={endpoint.urls}", "--first={endpoint.url}", "--model={endpoint.model}"]


def a_step(*, roles=ROLES, argv=ASKING, mode="accuracy", **program):
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
    return plan_run(workload, with_three_cores(a_run_environment()), cell, "20260101T000000Z-x", Choices())


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
