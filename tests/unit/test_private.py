"""mlorch's own engine: what it would do on a host, told from recorded files, before anything is done."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestrator.engines import EngineFacts, private
from orchestrator.engines.consent import Consent
from orchestrator.engines.docker import hosts
from orchestrator.engines.docker.facts import unmet_requirement
from orchestrator.engines.limits import limits_of
from orchestrator.engines.model import numbers
from orchestrator.engines.private import ensure, network
from orchestrator.engines.private.cleanup import drop_stale_pid, is_rooted_in, mounts_below
from orchestrator.engines.private.packages import find_origin
from orchestrator.errors import EngineError

ROUTES = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def facts(**more) -> EngineFacts:
    given = {
        "name": "docker", "host": "unix:///x", "version": "26.1.5", "api_version": "1.45", "platform": "linux/amd64",
        "buildx": "0.13.1+ds1", "containerd_store": True, "cdi": True,
    }  # fmt: skip
    return EngineFacts(**{**given, **more})


# -- fit or not ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, ""),
        ({"buildx": "0.10.0"}, ""),
        ({"api_version": "1.41", "version": "20.10.24"}, "Docker 23"),
        ({"buildx": None}, "no buildx"),
        ({"buildx": "0.8.2"}, "too old"),
        ({"api_version": ""}, ""),  # what is not known is tried
    ],
)
def test_an_engine_is_fit_by_what_it_says_of_itself(given, word):
    why = unmet_requirement(facts(**given))
    assert word in why
    assert bool(word) == bool(why)


def test_versions_are_numbers_not_text():
    assert numbers("0.13.1+ds1") == (0, 13, 1)
    assert numbers("0.9") < numbers("0.13")
    assert numbers("unknown") == ()


# -- where the engine is -------------------------------------------------------------------


def test_the_named_engine_counts_then_the_context_then_ours_then_the_default(tmp_path, monkeypatch):
    import hashlib

    monkeypatch.setattr(private, "running_socket", lambda: Path("/run/ours.sock"))
    config = tmp_path / "config"
    meta = config / "contexts/meta" / hashlib.sha256(b"lab").hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": "lab", "Endpoints": {"docker": {"Host": "ssh://lab"}}}))
    (config / "config.json").write_text(json.dumps({"currentContext": "lab"}))
    env = {"DOCKER_CONFIG": str(config)}
    assert hosts.find_host(env={**env, "DOCKER_HOST": "tcp://there:2375"}) == "tcp://there:2375"
    assert hosts.find_host(env=env) == "ssh://lab"
    assert hosts.find_host(env={**env, "DOCKER_CONTEXT": "default"}) == "unix:///run/ours.sock"
    monkeypatch.setattr(private, "running_socket", lambda: None)
    assert hosts.find_host(env={**env, "DOCKER_CONTEXT": "default"}) == "unix:///var/run/docker.sock"


def test_a_state_that_cannot_be_read_is_no_engine():
    at = private.engine_paths()
    assert private.read_state(at) is None
    at.home.mkdir(parents=True)
    for text in ("", "{}", "[]", '{"pid": 1, "rules": 5}', '{"rules": [], "surprise": 1}'):
        at.state.write_text(text)
        assert private.read_state(at) is None
        assert private.running_socket() is None


def test_a_state_is_read_as_it_was_written():
    state = private.State(
        pid=7, start_ticks=1, boot_id="b", socket="/s", bridge="mlorch-1",
        rules=network.rules("mlorch-1", "172.31.240.0/24"),
    )  # fmt: skip
    at = private.engine_paths()
    at.home.mkdir(parents=True)
    at.state.write_text(private.state_text(state))
    assert private.read_state(at) == state


def test_two_homes_share_nothing_and_a_long_one_has_a_short_socket(monkeypatch):
    monkeypatch.setenv("MLORCH_HOME", "/home/" + "a" * 200)
    one = private.engine_paths()
    monkeypatch.setenv("MLORCH_HOME", "/home/" + "b" * 200)
    other = private.engine_paths()
    assert len(str(one.exec_root / "containerd/containerd-debug.sock")) < 107, "a unix socket's path is short"
    assert one.run != other.run
    assert len(f"mlorch-{one.tag}") <= 15, "an interface's name is short"


@pytest.mark.sockets
def test_who_listens_is_told_by_the_kernel(tmp_path):
    import socket

    path = str(tmp_path / "s")
    assert private.listener(path) is None
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        assert private.listener(path) is None, "bound, but nobody listens"
        server.listen()
        assert private.listener(path) == os.getpid()
    assert private.listener(path) is None, "a left-over file"


@pytest.mark.sockets
def test_a_dockerd_without_its_containerd_is_no_engine(tmp_path, monkeypatch):
    """It answers questions still, and hangs at the first container."""
    import socket

    at = private.EnginePaths(home=tmp_path / "home", run=tmp_path / "run-1")
    monkeypatch.setattr(private, "engine_paths", lambda: at)
    at.home.mkdir()
    at.run.mkdir()
    state = private.State(pid=os.getpid(), start_ticks=1, boot_id="b", socket=str(at.socket), bridge="mlorch-1")
    at.state.write_text(private.state_text(state))
    with socket.socket(socket.AF_UNIX) as dockerd:
        dockerd.bind(str(at.socket))
        dockerd.listen()
        with socket.socket(socket.AF_UNIX) as containerd:
            containerd.bind(str(at.containerd_socket))
            containerd.listen()
            assert private.running_socket() == at.socket
            hosts.require_whole(f"unix://{at.socket}")
        assert private.running_socket() is None
        hosts.require_whole("unix:///run/another.sock")
        with pytest.raises(EngineError) as caught:
            hosts.require_whole(f"unix://{at.socket}")
        assert "its containerd has ended" in caught.value.message
        assert "mlorch engine ensure" in caught.value.hint


# -- network -------------------------------------------------------------------------------


def test_a_subnet_avoids_routes_and_name_servers():
    assert network.free_subnet(ROUTES, "nameserver 10.255.255.53\n") == "172.31.240.0/24"
    assert network.free_subnet(ROUTES, "nameserver 172.31.240.53\n") == "172.31.241.0/24"
    all_of_172_31 = ROUTES + "eth1\t00001FAC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    assert network.free_subnet(all_of_172_31, "") == "10.213.240.0/24"
    both = all_of_172_31 + "tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n"
    with pytest.raises(EngineError, match="no subnet") as caught:
        network.free_subnet(both, "")
    assert caught.value.hint


def test_the_mtu_is_that_of_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(network, "_INTERFACES", tmp_path)
    (tmp_path / "eth0").mkdir()
    (tmp_path / "eth0" / "mtu").write_text("1400\n")
    assert network.default_mtu(ROUTES) == 1400
    assert network.default_mtu(ROUTES.splitlines()[0]) is None


# -- packages ------------------------------------------------------------------------------


def a_host(root: Path, release: str, sources: str = "", one_line: str = "") -> Path:
    (root / "etc/apt/sources.list.d").mkdir(parents=True)
    (root / "etc/os-release").write_text(release)
    (root / "etc/apt/sources.list.d/distribution.sources").write_text(sources)
    (root / "etc/apt/sources.list").write_text(one_line)
    return root


BOOKWORM = 'ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'


@pytest.fixture
def apt(monkeypatch):
    monkeypatch.setattr("orchestrator.engines.private.packages.find_program", lambda name: Path("/usr/bin") / name)


@pytest.mark.usefixtures("apt")
def test_the_sources_are_the_hosts_own(tmp_path):
    deb822 = "Types: deb\nURIs: https://mirror.test/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
    other = (
        "deb https://other.test/apt stable main\ndeb [arch=amd64] http://second.test/debian/ bookworm main contrib\n"
    )
    origin = find_origin(a_host(tmp_path, BOOKWORM, deb822, other))
    assert origin.uris == ("http://second.test/debian", "https://mirror.test/debian")
    assert "Suites: bookworm trixie\n" in origin.sources()
    assert "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n" in origin.sources()
    assert "other.test" not in origin.sources()


@pytest.mark.usefixtures("apt")
@pytest.mark.parametrize(
    ("release", "words"),
    [
        ('ID=fedora\nPRETTY_NAME="Fedora Linux 44"\n', "Fedora Linux 44"),
        ('ID=debian\nVERSION_CODENAME=bullseye\nPRETTY_NAME="Debian 11"\n', "Debian 11"),
        (BOOKWORM, "no archive of bookworm"),
        ("", "unknown"),
    ],
)
def test_a_host_without_packages_to_take_is_told_what_to_do(tmp_path, release, words):
    with pytest.raises(EngineError, match=words) as caught:
        find_origin(a_host(tmp_path, release))
    assert caught.value.slug == "unsupported-host"
    assert "Docker 23" in caught.value.hint


# -- asking --------------------------------------------------------------------------------


def test_the_offer_says_everything(tmp_path, apt):
    deb822 = "Types: deb\nURIs: https://mirror.test/debian\nSuites: bookworm\nComponents: main\n"
    origin = find_origin(a_host(tmp_path, BOOKWORM, deb822))
    at = private.engine_paths()
    text = ensure.offer(ensure.Need(why="no engine answers", packages=True, daemon=True), at, origin)
    for part in ("no engine answers", "https://mirror.test/debian", "MB", "as root", str(at.socket), str(at.data),
                 f"mlorch-{at.tag}", "engine stop"):  # fmt: skip
        assert part in text
    client_only = ensure.offer(ensure.Need(why="no buildx", packages=True, daemon=False), at, origin)
    assert "dockerd" not in client_only


def none_here(monkeypatch, found=None, why="no container engine answers"):
    monkeypatch.setattr(ensure, "current", lambda _host: (found, why))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)


def test_an_engine_that_is_fine_is_left_alone(monkeypatch):
    none_here(monkeypatch, facts(), "")
    assert ensure.ensure(Consent(yes=False, confirm=None, say=print)) == (facts(), ())


def test_an_engine_that_the_user_named_is_the_users_business(monkeypatch):
    none_here(monkeypatch)
    monkeypatch.setenv("DOCKER_HOST", "tcp://lab.test:2375")
    with pytest.raises(EngineError, match="DOCKER_HOST") as caught:
        ensure.ensure(Consent(yes=True, confirm=None, say=print))
    assert caught.value.slug == "engine-unfit"
    assert "unset DOCKER_HOST" in caught.value.hint


def test_without_root_it_says_so_before_it_asks(monkeypatch):
    none_here(monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EngineError, match="takes root") as caught:
        ensure.ensure(Consent(yes=True, confirm=None, say=print))
    assert "sudo" in caught.value.hint


def test_root_without_the_capabilities_is_not_enough(monkeypatch):
    none_here(monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(ensure, "capabilities", lambda _pid: 1 << 21)
    with pytest.raises(EngineError, match="CAP_NET_ADMIN"):
        ensure.ensure(Consent(yes=True, confirm=None, say=print))


# -- after a crash -------------------------------------------------------------------------


def test_a_pid_file_of_another_program_is_stale(tmp_path):
    file = tmp_path / "docker.pid"
    file.write_text(f"{os.getpid()}\n")
    drop_stale_pid(file, Path(f"/proc/{os.getpid()}/comm").read_text().strip())
    assert file.exists()
    drop_stale_pid(file, "dockerd")
    assert not file.exists()


def test_only_an_overlay_of_this_engine_is_its_process():
    ours = "1 2 0:33 / / rw - overlay overlay rw,lowerdir=/d/data/x/1/fs,upperdir=/d/data/x/2/fs\n"
    assert is_rooted_in(ours, "/d/data")
    assert not is_rooted_in(ours, "/d/da")
    assert not is_rooted_in(ours.replace(" / / ", " / /mnt "), "/d/data"), "a mount of it is not a root in it"
    assert not is_rooted_in("22 1 254:0 / / rw - ext4 /dev/vda rw\n", "/d/data")


def test_mounts_are_taken_away_innermost_first():
    info = (
        "1 0 8:1 / / rw - ext4 /dev/vda rw\n2 1 8:1 / /d/a\\040b rw - ext4 x rw\n"
        "3 2 0:9 / /d/a\\040b/c rw - overlay o rw\n"
    )
    assert mounts_below(info, ("/d/a b",)) == ["/d/a b/c", "/d/a b"]
    assert mounts_below(info, ("/d/a",)) == []


# -- limits --------------------------------------------------------------------------------

LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max processes             96365                96365                processes
Max open files            1024                 20000                files
Max locked memory         8388608              8388608              bytes
Max stack size            8388608              unlimited            bytes
"""


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ("000001fffeffffff", {"nproc": 96365, "nofile": 20000, "memlock": 8388608, "stack": None}),
        ("000001ffffffffff", {"nproc": None, "nofile": 1048576, "memlock": None, "stack": None}),
    ],
)
def test_a_daemon_gives_what_it_has_or_may_raise(tmp_path, capabilities, expected):
    (tmp_path / "7").mkdir()
    (tmp_path / "sys/fs").mkdir(parents=True)
    (tmp_path / "sys/fs/nr_open").write_text("1048576\n")
    (tmp_path / "7/status").write_text(f"Name:\tdockerd\nCapEff:\t{capabilities}\n")
    (tmp_path / "7/limits").write_text(LIMITS)
    assert limits_of(7, tmp_path) == expected
    (tmp_path / "7/uid_map").write_text("         0          0 4294967295\n")
    assert limits_of(7, tmp_path) == expected
    assert limits_of(8, tmp_path) == {}
    # Of a rootless engine's daemon, whose capabilities are those of its own namespace.
    (tmp_path / "7/uid_map").write_text("0 1000 1\n1 100000 65536\n")
    assert limits_of(7, tmp_path) == {"nproc": 96365, "nofile": 20000, "memlock": 8388608, "stack": None}
