"""Who a container is on an engine that maps users: root of a rootless one; where no result can be written, nobody."""

from __future__ import annotations

import os

import pytest

from orchestrator.engines import users
from orchestrator.engines.docker.facts import facts_of
from orchestrator.engines.podman.cli import facts_of as podman_facts
from orchestrator.errors import HostLimitError
from orchestrator.operations.doctor import control_groups
from orchestrator.operations.doctor import users as checked
from orchestrator.plan.run.user import run_user

VERSION = {"Version": "28.0", "ApiVersion": "1.48", "Os": "linux", "Arch": "amd64"}


def engine(*security: str):
    return facts_of({"SecurityOptions": list(security)}, VERSION, "unix:///s", "0.20", private=False)


@pytest.fixture
def plain_user(monkeypatch):
    for name, number in (("geteuid", 1000), ("getuid", 1000), ("getgid", 1001)):
        monkeypatch.setattr(os, name, lambda number=number: number)


@pytest.mark.usefixtures("plain_user")
def test_in_a_rootless_engine_only_its_root_is_the_caller():
    """Any other number is one that owns nothing on the host: every run ended with 134."""
    found = users.container_user(engine("name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"))
    assert (found.inside, found.owner, found.on_host) == ("0:0", "1000:1001", "1000:1001")
    assert users.container_user(engine("name=seccomp")).inside == "1000:1001"
    assert users.container_user(None).inside == "1000:1001"


@pytest.mark.parametrize("of_root", [True, False])
def test_userns_remap_is_told_before_anything_starts_and_by_doctor(monkeypatch, of_root):
    monkeypatch.setattr(os, "geteuid", lambda: 0 if of_root else 1000)
    remapped = engine("name=seccomp,profile=builtin", "name=userns")
    with pytest.raises(HostLimitError) as caught:
        users.container_user(remapped)
    assert caught.value.slug == "user-mapping"
    assert "userns-remap" in caught.value.message
    assert "--engine podman" in caught.value.hint
    check = checked(remapped)
    assert (check.state, "userns-remap" in check.what) == ("bad", True)


def test_root_is_told_that_a_rootless_engine_is_another_users(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(HostLimitError) as caught:
        users.container_user(engine("name=rootless"))
    assert "another user's own" in caught.value.message


@pytest.mark.usefixtures("plain_user")
def test_doctor_says_who_containers_are():
    assert "1000:1001" in checked(engine("name=rootless")).what
    assert checked(engine("name=seccomp")).what == "containers run as 1000:1001"


def test_root_never_asks_for_root_of_a_container():
    assert run_user(0, 0, {}, own_root=True).inside != "0:0"


def test_limits_that_a_rootless_engine_does_not_hold_are_told():
    """On cgroup v1, or without delegation: as real ones answered."""
    info = {"SecurityOptions": ["name=rootless"], "CPUSet": False, "MemoryLimit": False, "PidsLimit": True}
    docker = facts_of(info, VERSION, "unix:///s", "0.20", private=False)
    assert docker.unlimited == ("processors", "memory")
    check = control_groups(docker)
    assert (check.state, "its processors and memory" in check.what) == ("warn", True)
    assert "cgroup v2" in check.hint
    assert control_groups(engine("name=seccomp")).state == "ok", "one that does not say"

    def podman(rootless, **host):
        host |= {"security": {"rootless": rootless}}
        return podman_facts({"host": host}, "/p", private=False).unlimited

    assert podman(True, cgroupControllers=["memory", "pids"]) == ("processors",)
    assert podman(True, cgroupControllers=None) == ("processors", "memory", "processes")
    assert podman(True) == podman(False, cgroupControllers=[]) == ()
