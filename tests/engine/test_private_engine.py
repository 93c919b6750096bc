"""mlorch's own engine, from nothing: fetched, started, used, killed, started again, stopped.

It lives in a folder of its own beside whatever engine runs here, and is named by
DOCKER_HOST, so that an engine of the host is neither used nor needed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from docker_parts import busybox
from own_engine import Own, needs_host, second_engine, subnet_of

from orchestrator.engines import private
from orchestrator.engines.private import network
from orchestrator.engines.private.cleanup import mounts_below, pid_of

pytestmark = pytest.mark.engine
BUSYBOX = "/bin/busybox"


@pytest.fixture(scope="module")
def own(mlorch):
    with second_engine(mlorch) as engine:
        yield engine


@pytest.fixture(scope="module")
def image(own, tmp_path_factory):
    """An image of one static program, built with the default network by the engine's own client."""
    context = tmp_path_factory.mktemp("context")
    (context / "busybox").write_bytes(busybox())
    (context / "Dockerfile").write_text(
        f"FROM scratch\nCOPY --chmod=755 busybox {BUSYBOX}\n"
        f'RUN ["{BUSYBOX}", "sh", "-c", "{BUSYBOX} ip -4 addr show eth0 > /address"]\n'
    )
    own.docker("buildx", "build", "-q", "-t", "private-test:1", str(context))
    return "private-test:1"


@needs_host
def test_nothing_is_done_unasked(tmp_path, mlorch):
    other = Own(tmp_path, mlorch)
    done = other.mlorch("engine", "ensure")
    assert done.returncode == 4
    assert "--yes" in done.stderr
    assert "start dockerd as root" in done.stderr, "it has to say what it would do"
    assert not other.paths.home.exists()
    assert not other.paths.run.exists()


@needs_host
def test_builds_and_containers_have_a_network_of_their_own(own, image):
    built = own.docker("run", "--rm", "--network", "none", image, BUSYBOX, "cat", "/address")
    ran = own.docker("run", "--rm", image, BUSYBOX, "ip", "-4", "addr", "show", "eth0")
    subnet = subnet_of(private.read_state(own.paths)).rpartition(".")[0]
    assert subnet in built
    assert subnet in ran


@needs_host
def test_images_lie_in_its_own_folder_whatever_containerd_the_host_runs(own, image):
    assert own.docker("image", "inspect", image)
    assert any((own.paths.data / "containerd").glob("io.containerd.content.v1.content/blobs/sha256/*"))


@needs_host
def test_ensure_again_changes_nothing_and_is_quick(own):
    pid, begin = own.pid, time.monotonic()
    assert own.document("engine", "ensure")["did"] == [], "and needs no --yes, as there is nothing to allow"
    assert own.pid == pid
    assert time.monotonic() - begin < 8


@needs_host
def test_a_killed_engine_is_started_again_and_a_reused_pid_fools_nobody(own, image):
    os.kill(own.pid, signal.SIGKILL)
    state = json.loads(own.paths.state.read_text())
    state["pid"] = os.getpid()  # as if this process had got the number since
    own.paths.state.write_text(json.dumps(state))
    own.paths.pid_file.write_text(str(os.getpid()))
    assert own.mlorch("engine", "status").returncode == 4
    did = own.document("engine", "ensure", "--yes")["did"]
    assert len(did) == 1, "the packages are there; only the daemon is started"
    assert own.docker("image", "inspect", image)
    assert "pong" in own.docker("run", "--rm", image, BUSYBOX, "echo", "pong")


@needs_host
def test_without_its_containerd_an_engine_is_not_ready_and_ensure_mends_it(own, image):
    """dockerd goes on answering, and hangs at the first container."""
    containerd = pid_of(own.paths.containerd_pid, "containerd")
    os.kill(containerd, signal.SIGKILL)
    while Path(f"/proc/{containerd}").exists() and "Z" not in Path(f"/proc/{containerd}/stat").read_text():
        time.sleep(0.05)
    assert private.listener(str(own.paths.socket)) == own.pid, "dockerd itself still listens"
    status = own.mlorch("engine", "status")
    assert status.returncode == 4
    assert "its containerd has ended" in status.stderr
    assert len(own.document("engine", "ensure", "--yes")["did"]) == 1
    assert "pong" in own.docker("run", "--rm", image, BUSYBOX, "echo", "pong")


@needs_host
def test_a_dockerd_that_is_killed_during_a_build_leaves_nothing_mounted_after_stop(own, image, tmp_path):
    (tmp_path / "Dockerfile").write_text(f'FROM {image}\nRUN ["{BUSYBOX}", "sleep", "500"]\n')
    client, settings = private_client(own)
    build = subprocess.Popen(
        [client, "buildx", "build", "-q", str(tmp_path)], env={**own.env, "DOCKER_CONFIG": settings},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 30
    while not _mounted(own) and time.monotonic() < until:
        time.sleep(0.1)
    assert _mounted(own)
    os.kill(own.pid, signal.SIGKILL)
    build.wait(30)
    own.mlorch("engine", "stop")
    assert _mounted(own) == []
    own.document("engine", "ensure", "--yes")


def private_client(own) -> tuple[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLORCH_HOME", str(own.home))
        found = private.own_client()
    assert found is not None
    return found


def _mounted(own) -> list[str]:
    folders = (os.path.realpath(own.paths.data), str(own.paths.run))
    return mounts_below(Path("/proc/self/mountinfo").read_text(), folders)


@needs_host
def test_after_a_kill_containers_are_in_the_subnet_that_the_rules_let_out(own, image):
    """A dockerd that was killed puts the subnet that it remembers over a bridge that has another by now."""
    before = subnet_of(private.read_state(own.paths))
    os.kill(own.pid, signal.SIGKILL)
    network.make_bridge("mlorch-taken", before)
    try:
        own.document("engine", "ensure", "--yes")
        after = subnet_of(private.read_state(own.paths))
        ran = own.docker("run", "--rm", image, BUSYBOX, "ip", "-4", "addr", "show", "eth0")
    finally:
        network.drop_bridge("mlorch-taken")
    assert after != before
    assert after.rpartition(".")[0] in ran


@needs_host
def test_stop_ends_containers_and_leaves_nothing_but_the_images(own, image):
    own.docker("run", "-d", "--stop-signal", "KILL", "--name", "sleeper", image, BUSYBOX, "sleep", "1234")
    sleeper = int(own.docker("inspect", "-f", "{{.State.Pid}}", "sleeper"))
    state = private.read_state(own.paths)
    assert own.document("engine", "stop") == {"stopped": True}
    assert not Path(f"/proc/{sleeper}").exists()
    assert not Path("/sys/class/net", state.bridge).exists()
    assert not own.paths.run.exists()
    assert not _rules_left(own.paths, state)
    assert own.document("engine", "stop") == {"stopped": False}


@needs_host
def test_two_at_once_start_one_engine(own, image):
    own.mlorch("engine", "stop")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: own.document("engine", "ensure", "--yes"), range(2)))
    assert sum(len(each["did"]) for each in both) == 1
    assert own.docker("image", "inspect", image), "images outlive a stop"


def _rules_left(at: private.EnginePaths, state: private.State) -> list[tuple[str, ...]]:
    from orchestrator.engines.private.network import iptables
    from orchestrator.host.command import run_program

    program, env = iptables(at.prefix)
    checks = [["-C" if word in {"-A", "-I"} else word for word in rule] for rule in state.rules]
    return [tuple(rule) for rule in checks if run_program([program, "--wait", *rule], env=env).code == 0]
