"""What each container of a run of several gets: processors of its own, one namespace, no more than it needs."""

from __future__ import annotations

import json

import pytest
from role_parts import a_served_step, a_server

from orchestrator.definitions.kinds.servers import Role
from orchestrator.errors import HostLimitError, UsageError
from orchestrator.plan.run.roles import shares


def roles(**given):
    return {name: Role.model_validate(role) for name, role in given.items()}


def test_no_two_roles_share_a_processor_and_the_client_has_the_first():
    found = shares("b", roles(server={"server": "s", "replicas": 2}, client={"cpus": 2}), tuple(range(8)))
    assert [(one.role, one.replica, one.cpus) for one in found] == [
        ("server", 0, (2, 3, 4)),
        ("server", 1, (5, 6, 7)),
        ("client", 0, (0, 1)),
    ]


def test_what_does_not_divide_evenly_is_left_to_the_first():
    found = shares("b", roles(server={"server": "s", "replicas": 2}, client={"cpus": 1}), tuple(range(4)))
    assert sorted(len(one.cpus) for one in found) == [1, 1, 2]
    taken = [cpu for one in found for cpu in one.cpus]
    assert sorted(taken) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "asked", [{"server": {"server": "s"}, "client": {"cpus": 1}}, {"server": {"server": "s", "cpus": 1}, "client": {}}]
)
def test_a_role_without_a_processor_left_is_told_before_anything_starts(asked):
    with pytest.raises(HostLimitError) as caught:
        shares("b", roles(**asked), (0,))
    assert caught.value.slug == "no-processor"
    assert "2 processors of their own" in caught.value.message
    assert "this run has 1" in caught.value.message


def test_servers_and_client_are_in_the_namespace_of_the_probes():
    step = a_served_step()
    probes = step.roles.probes
    assert probes.network == "none"
    inside = f"container:{probes.name}"
    assert {one.network for one in step.containers if one is not probes} == {inside}


def test_an_address_says_where_the_interface_is_unless_that_is_the_usual_place():
    step = a_served_step(recipe=a_server(api_path="/v3"))
    assert step.settings["endpoint"]["urls"] == ["http://127.0.0.1:8000/v3"]


def test_a_server_sees_the_model_and_neither_data_nor_results():
    (server,) = a_served_step().roles.servers
    assert [(mount.target, mount.read_only) for mount in server.container.mounts] == [("/models/resnet8", True)]
    words = ("serve", "/models/resnet8/model.onnx", "--port", "8000", "--threads=1", "--cpus=1")
    assert server.container.command == words
    assert server.container.env["REPLICA"] == "0"
    assert server.container.image == "mlorch/serve-llamacpp-cpu:0123"


def test_the_client_sees_no_model_and_is_told_where_its_servers_are():
    step = a_served_step(server={"server": "llamacpp", "replicas": 1})
    assert "/models/resnet8" not in [mount.target for mount in step.container.mounts]
    assert step.settings["endpoint"] == {"urls": ["http://127.0.0.1:8000"], "model": "resnet8", "key_file": None}
    assert step.settings["execution"]["cpus"] == [0]
    assert step.container.cpus == (0,)


@pytest.mark.parametrize(("processes", "null_servers"), [(None, "2"), (4, "3"), (1, "1")])
def test_the_ceiling_is_measured_with_the_clients_processes_against_as_many(processes, null_servers):
    step = a_served_step(client={"cpus": 2, "processes": processes}, cores=5)
    assert step.settings["execution"]["processes"] == processes
    assert step.roles.null_server.command[-2:] == ("--processes", null_servers)
    assert step.roles.ceiling.mounts == step.container.mounts, "it reads the same settings"


def test_only_the_client_has_processes():
    with pytest.raises(ValueError, match="those are the client's"):
        a_served_step(server={"server": "llamacpp", "processes": 2})


def test_the_probes_ask_every_server_at_its_own_port():
    step = a_served_step()
    asked = json.loads(step.roles.probes.command[-1])
    assert [(one["name"], one["url"]) for one in asked] == [("server", "http://127.0.0.1:8000/health")]


def test_servers_of_one_benchmark_stay_or_start_anew_together():
    assert a_served_step().roles.restart == "mode"
    assert a_served_step(server={"server": "llamacpp", "restart": "run"}).roles.restart == "run"
    with pytest.raises(ValueError, match="all have the same `restart`"):
        a_served_step(server={"server": "llamacpp", "restart": "run"}, other={"server": "llamacpp"})


def test_an_accuracy_test_measures_no_ceiling():
    step = a_served_step(mode="accuracy")
    assert step.roles.null_server is None
    assert step.roles.ceiling is None


def test_a_parameter_that_the_server_lacks_is_refused():
    with pytest.raises(UsageError) as caught:
        a_served_step(server={"server": "llamacpp", "parameters": {"thread": "2"}})
    assert caught.value.slug == "unknown-parameter"
    assert "server `llamacpp`" in caught.value.message


def test_scratch_is_executable_only_where_the_recipe_says_why():
    assert "noexec" in a_served_step().roles.servers[0].container.tmpfs["/scratch"]
    step = a_served_step(recipe=a_server(executable_scratch="its JIT compiler loads what it makes"))
    assert "noexec" not in step.roles.servers[0].container.tmpfs["/scratch"]
    assert "noexec" in step.container.tmpfs["/scratch"]
    assert "its JIT compiler loads what it makes" in " ".join(step.deviations)
