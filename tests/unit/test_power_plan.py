"""`--power`: what is asked for, what is refused, and the containers that are planned for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from run_parts import a_run_environment, a_workload

from orchestrator.errors import UsageError
from orchestrator.facts.power import Clock, PowerServer, is_simulated
from orchestrator.operations.run.power import power_server
from orchestrator.operations.run.request import RunRequest, checked
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices

SERVER = PowerServer(host="director", port=4950, ntp_host="director", ntp_port=123)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("server=director", SERVER),
        ("server=director:5000", replace(SERVER, port=5000)),
        ("server=director,ntp=time.example:1123", replace(SERVER, ntp_host="time.example", ntp_port=1123)),
        ("server=[fd00::1]:5000", PowerServer(host="fd00::1", port=5000, ntp_host="fd00::1", ntp_port=123)),
    ],
)
def test_a_power_server_is_named_with_its_time_server(text, meant):
    assert power_server(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "director",
        "server=",
        "server=a b",
        "server=-a",
        "server=a:0",
        "server=a:70000",
        "server=a..b",
        "server=" + "a" * 64,
        "server=" + "a." * 130,
        "ntp=a",
        "server=a,server=b",
        "server=a,b=c",
    ],
)
def test_what_names_no_power_server_is_refused(text):
    with pytest.raises(UsageError) as caught:
        checked(RunRequest(power=text))
    assert caught.value.slug == "power-syntax"


@pytest.mark.parametrize("other", [{"find": True}, {"mode": "accuracy"}, {"mode": "compliance"}])
def test_what_cannot_be_measured_with_power_is_refused(other):
    with pytest.raises(UsageError) as caught:
        checked(RunRequest(power="server=director", **other))
    assert caught.value.slug == "power-not-possible"


def step(mode: str = "performance", power: PowerServer | None = SERVER):
    workload = a_workload(power_image="power:1", power_commit="c4b3ad8")
    environment = a_run_environment(power=power, power_folder="/cache/power")
    return plan_run(workload, environment, Cell(scenario="Offline", mode=mode), "20260101T000000Z-x", Choices())


def test_only_a_performance_test_is_measured_with_power():
    assert step(mode="accuracy").power is None
    assert step(power=None).power is None
    assert step().power is not None


def test_the_clients_container_has_no_network_no_engine_and_nothing_of_the_test():
    client = step().power.client
    assert (client.network, client.capabilities, client.devices, client.read_only) == ("none", (), (), True)
    assert [(mount.source, mount.target) for mount in client.mounts] == [("/cache/power/20260101T000000Z-x", "/power")]
    assert client.image == "power:1"


def test_its_way_out_is_told_beyond_the_run_contract():
    (deviation,) = step().deviations
    assert "director:4950" in deviation
    assert "director:123" in deviation


def test_the_ranging_run_is_the_test_once_more_in_a_folder_of_its_own():
    planned = step()
    ranging, test = planned.power.ranging, planned.container
    assert ranging.name != test.name
    same = replace(ranging, name=test.name, mounts=test.mounts)
    assert same == test
    moved = {mount.target: mount.source for mount in ranging.mounts if mount not in test.mounts}
    assert set(moved) == {"/results", "/results/run.json"}
    assert all("/20260101T000000Z-x/ranging" in source for source in moved.values())


def test_the_check_sees_the_session_alone_and_cannot_change_it():
    check = step().power.check
    assert [(mount.target, mount.read_only) for mount in check.mounts] == [("/session", True)]
    assert check.network == "none"


def test_the_containers_come_in_the_order_in_which_they_run():
    planned = step()
    power = planned.power
    assert planned.containers == (power.client, power.ranging, planned.container, power.check)
    assert planned.beside == (power.client,)


@pytest.mark.parametrize(
    ("identity", "device", "simulated"),
    [
        ("YokogawaWT310,91NB12,version=1.11.1-4e2f,1", 49, False),
        ("YokogawaWT310,91NB12,version=1.11.1-4e2f,1", 0, True),
        ("YokogawaWT310,Simulated,version=1.11.1-x,0", 49, True),
        ("Dummy device,version=1.11.1-x", 49, True),
    ],
)
def test_a_daemon_that_measures_nothing_says_so_itself(identity, device, simulated):
    assert is_simulated((identity,), (device,)) is simulated


def test_clocks_agree_within_the_clients_own_limit():
    assert Clock(of="x", ahead_s=-0.4, delay_s=0).agrees
    assert not Clock(of="x", ahead_s=0.401, delay_s=0).agrees
