"""The private engine's decisions, without starting one: where from, where to, which network, which limits."""

from __future__ import annotations

import json

import pytest

from orchestrator.engines import private
from orchestrator.engines.fitness import unfit
from orchestrator.engines.limits import limits_of
from orchestrator.engines.private import ensure, network
from orchestrator.engines.private.packages import find_origin
from orchestrator.errors import EngineError
from orchestrator.system.files import file_system

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000000A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""
LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units     
Max processes             96365                96365                processes 
Max open files            1024                 20000                files     
Max locked memory         8388608              8388608              bytes     
Max stack size            8388608              unlimited            bytes     
"""  # noqa: W291 (as the kernel writes it)


# -- where packages come from ------------------------------------------------------------


def host(root, release, sources):
    for name, text in (("etc/os-release", release), ("etc/apt/sources.list", sources)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


BOOKWORM = 'ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian 12"\n'
SOURCES = """\
deb https://mirror/debian bookworm main
deb https://mirror/debian bookworm-updates main
deb https://mirror/security bookworm-security main
deb https://elsewhere/tools stable main
"""


@pytest.fixture(autouse=True)
def _apt_is_there(monkeypatch):
    monkeypatch.setattr("orchestrator.engines.private.packages.find_program", lambda name: f"/usr/bin/{name}")


def test_bookworm_takes_docker_from_the_next_release_and_what_needs_its_libc_from_itself(tmp_path):
    origin = find_origin(host(tmp_path, BOOKWORM, SOURCES))
    assert origin.uris == ("https://mirror/debian",)
    assert origin.allowed("docker.io") == ("trixie", "trixie-updates", "trixie-security")
    assert origin.allowed("runc") == ("bookworm", "bookworm-updates", "bookworm-security")


def test_fixes_of_security_holes_are_taken_too_and_signatures_always_checked(tmp_path):
    stanzas = find_origin(host(tmp_path, BOOKWORM, SOURCES)).sources().strip().split("\n\n")
    assert len(stanzas) == 2
    assert "URIs: https://mirror/security\nSuites: bookworm-security trixie-security\n" in stanzas[1]
    assert all("Signed-By: /usr/share/keyrings/" in stanza for stanza in stanzas)
    assert "elsewhere" not in "".join(stanzas)


def test_a_newer_debian_takes_all_from_itself(tmp_path):
    release, sources = BOOKWORM.replace("bookworm", "trixie"), SOURCES.replace("bookworm", "trixie")
    origin = find_origin(host(tmp_path, release, sources))
    assert "Suites: trixie\n" in origin.sources()
    assert origin.allowed("docker.io")[0] == origin.allowed("runc")[0] == "trixie"


@pytest.mark.parametrize(
    ("release", "sources"),
    [
        ("ID=fedora\nVERSION_CODENAME=\nPRETTY_NAME=Fedora\n", SOURCES),
        (BOOKWORM.replace("bookworm", "bullseye"), SOURCES),
        (BOOKWORM, "deb cdrom:[disc] bookworm main\n"),
    ],
    ids=["another distribution", "too old", "no archive"],
)
def test_a_host_that_has_nothing_to_take_is_told_what_to_do_instead(tmp_path, release, sources):
    with pytest.raises(EngineError) as caught:
        find_origin(host(tmp_path, release, sources))
    assert caught.value.slug == "unsupported-host"
    assert "Docker 23 or newer" in caught.value.hint


# -- where it lives ----------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "fits"), [("ext4", True), ("xfs", True), ("overlay", False), ("nfs4", False)])
def test_a_folder_that_cannot_hold_layers_is_refused_before_anything_is_fetched(monkeypatch, tmp_path, kind, fits):
    monkeypatch.setattr("orchestrator.system.files.file_system", lambda _path: kind)
    monkeypatch.setattr(ensure.shutil, "disk_usage", lambda _path: _Free(100 << 30))
    if fits:
        ensure.check_folder(tmp_path / "not/yet/there", packages=True, daemon=True)
        return
    with pytest.raises(EngineError, match=kind) as caught:
        ensure.check_folder(tmp_path / "not/yet/there", packages=True, daemon=True)
    assert "MLORCH_HOME" in caught.value.hint


def test_a_full_disk_is_told_before_anything_is_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr("orchestrator.system.files.file_system", lambda _path: "ext4")
    monkeypatch.setattr(ensure.shutil, "disk_usage", lambda _path: _Free(1 << 30))
    with pytest.raises(EngineError, match=r"1\.0 GiB are free"):
        ensure.check_folder(tmp_path, packages=True, daemon=True)
    ensure.check_folder(tmp_path, packages=True, daemon=False)  # a client alone is small


class _Free:
    def __init__(self, free: int) -> None:
        self.free = free


def test_the_file_system_of_a_path_is_the_innermost_mount_and_the_last_on_it(tmp_path):
    table = tmp_path / "mountinfo"
    inner = tmp_path / "a b"
    inner.mkdir()
    escaped = str(inner).replace(" ", "\\040")
    table.write_text(
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        f"2 1 0:2 / {escaped} rw shared:1 - xfs /dev/b rw\n"
        f"3 2 0:3 / {escaped} rw - tmpfs none rw\n"
    )
    assert file_system(inner / "below", table) == "tmpfs"
    assert file_system(tmp_path, table) == "ext4"
    assert file_system(tmp_path, tmp_path / "absent") == ""


def test_sockets_fit_into_a_socket_address_however_deep_the_home_is(monkeypatch, tmp_path):
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / ("deep/" * 40)))
    at = private.places()
    assert len(str(at.containerd_socket)) <= 107
    assert len(f"mlorch-{at.tag}") <= 15, "the name of an interface"
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "other"))
    assert private.places().socket != at.socket


def test_a_state_that_cannot_be_read_is_none(monkeypatch):
    at = private.places()
    at.home.mkdir(parents=True)
    for text in ("", "{", "[]", '{"pid": 1}'):
        at.state.write_text(text)
        assert private.read_state(at) is None
        assert private.running_socket() is None


def test_credentials_of_registries_are_linked_and_not_copied(monkeypatch, tmp_path):
    at = private.places()
    for name in ("docker", "../libexec/docker/cli-plugins/docker-buildx"):
        program = (at.prefix / "usr/bin" / name).resolve()
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("")
        program.chmod(0o755)
    (at.prefix / "packages.json").write_text('{"docker.io": "1"}')
    users = tmp_path / "users/config.json"
    users.parent.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(users.parent))
    config = at.client_config / "config.json"
    assert private.client_environment()["DOCKER_CONFIG"] == str(at.client_config)
    assert not config.exists()
    users.write_text(json.dumps({"auths": {"registry": {"auth": "c2VjcmV0"}}}))
    private.client_environment()
    assert config.is_symlink()
    assert config.read_text() == users.read_text()
    assert (at.client_config / "cli-plugins/docker-buildx").exists()


# -- network -----------------------------------------------------------------------------


def test_the_bridge_takes_a_range_that_no_route_and_no_name_server_uses():
    assert network.free_subnet(ROUTES, "") == "172.31.240.0/24"
    assert network.free_subnet(ROUTES, "nameserver 172.31.240.9\n") == "172.31.241.0/24"
    taken = ROUTES + "tun0\t00001FAC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"  # 172.31.0.0/16
    assert network.free_subnet(taken, "").startswith("10.213.")
    with pytest.raises(EngineError) as caught:
        network.free_subnet(taken, "", taken=["10.0.0.0/8"])
    assert caught.value.slug == "no-subnet"


def test_nothing_reaches_containers_unasked():
    rules = network.rules("mlorch-0", "172.31.240.0/24")
    towards = [rule for rule in rules if "-o" in rule and rule[rule.index("-o") - 1] != "!"]
    assert towards
    assert all("RELATED,ESTABLISHED" in rule for rule in towards)


# -- limits and fitness ------------------------------------------------------------------


def daemon(proc, capabilities):
    for name, text in (
        ("7/limits", LIMITS),
        ("7/status", f"Name:\tdockerd\nCapEff:\t{capabilities}\n"),
        ("sys/fs/nr_open", "1048576\n"),
    ):
        (proc / name).parent.mkdir(parents=True, exist_ok=True)
        (proc / name).write_text(text)
    return proc


def test_a_daemon_that_may_not_raise_limits_gives_its_own_at_most(tmp_path):
    found = limits_of(7, daemon(tmp_path, "000001fffeffffff"))
    assert found == {"nproc": 96365, "nofile": 20000, "memlock": 8388608, "stack": None}


def test_a_daemon_that_may_raise_them_is_bound_by_the_kernel_for_open_files_alone(tmp_path):
    found = limits_of(7, daemon(tmp_path, "000001ffffffffff"))
    assert found == {"nproc": None, "nofile": 1048576, "memlock": None, "stack": None}


def test_a_daemon_out_of_sight_says_nothing(tmp_path):
    assert limits_of(8, tmp_path) == {}


@pytest.mark.parametrize(
    ("api", "buildx", "why"),
    [
        ("1.45", "0.13.1+ds1", ""),
        ("1.100", "0.29.1", ""),
        ("1.41", "0.13.1", "too old"),
        ("1.45", None, "no buildx"),
        ("1.45", "0.9.1", "too old"),
    ],
)
def test_what_can_build(api, buildx, why):
    from orchestrator.engines import EngineFacts

    facts = EngineFacts(
        name="docker", host="", version="", api_version=api, platform="", buildx=buildx, containerd_store=True, cdi=True
    )
    assert (why in unfit(facts)) if why else unfit(facts) == ""
