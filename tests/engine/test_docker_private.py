"""mlorch's own engine, got and started by mlorch's own code; and what is told when it dies under a build or a run.

These tests kill an engine, so they never use the one that the other tests share. Where that
one is mlorch's own, its unpacked programs are borrowed; else they are downloaded.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest
from docker_parts import Bench, busybox, sh, spec, step
from own_engine import left_by

from orchestrator.engines import private
from orchestrator.engines.consent import Consent
from orchestrator.engines.docker import hosts
from orchestrator.engines.docker.engine import connect
from orchestrator.engines.docker.lookup import socket_lookup
from orchestrator.engines.private import network
from orchestrator.engines.private.cleanup import is_rooted_in, mounts_below
from orchestrator.engines.private.daemon import stop
from orchestrator.engines.private.ensure import ensure
from orchestrator.errors import EngineError
from orchestrator.host.command import run_program

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="starting a container engine takes root"),
]


@pytest.fixture(scope="module")
def home():
    """An MLORCH_HOME of its own, on a host where no other engine can be found."""
    program = busybox()
    lent = private.engine_paths().prefix if "tini" in private.unpacked() else None  # all that an engine needs now
    patch = pytest.MonkeyPatch()
    # Not pytest's folder, which it deletes in a later session: an engine that got stuck has mounts there.
    folder = Path(tempfile.mkdtemp(prefix="mlorch-own-", dir="/var/tmp"))
    patch.setenv("MLORCH_HOME", str(folder / "home"))
    patch.setenv("DOCKER_CONFIG", str(folder / "no-config"))
    patch.setenv("XDG_RUNTIME_DIR", str(folder))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        patch.delenv(name, raising=False)
    patch.setattr(hosts, "DEFAULT_SOCKET", str(folder / "no.sock"))
    at = private.engine_paths()
    if lent is not None:
        from orchestrator.engines.private.packages import write_client_config

        at.home.mkdir(parents=True)
        at.prefix.symlink_to(lent)
        write_client_config(at)
    yield folder, program
    stop(at)
    left = left_by(at)
    patch.undo()
    shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"an engine that was stopped left {left}"


def make_sure():
    return ensure(Consent(yes=True, confirm=None, say=lambda _line: None))


@pytest.fixture
def context(home, tmp_path):
    make_sure()
    return Bench(connect(), tmp_path, home[1])


def kill() -> None:
    """The engine dies as of a bug or of the kernel's memory killer."""
    state = private.read_state(private.engine_paths())
    os.kill(state.pid, signal.SIGKILL)


def processes_of(at) -> list[str]:
    """Processes whose root lies in the engine's data: of containers and of build steps."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and is_rooted_in((entry / "mountinfo").read_text(), os.path.realpath(at.data)):
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_nothing_is_done_unasked(home):
    with pytest.raises(EngineError) as caught:
        ensure(Consent(yes=False, confirm=None, say=lambda _line: None))
    assert caught.value.slug == "not-asked"
    assert "dockerd as root" in caught.value.message
    assert "--yes" in caught.value.hint
    with pytest.raises(EngineError, match="declined"):
        ensure(Consent(yes=False, confirm=lambda _text: False, say=lambda _line: None))
    assert private.running_socket() is None


def test_an_engine_is_got_started_and_found(home):
    facts, did = make_sure()
    assert facts.private
    assert facts.containerd_store
    assert facts.cdi
    assert facts.buildx
    assert did[-1].startswith("started dockerd")
    assert hosts.find_host() == facts.host == f"unix://{private.running_socket()}"
    assert facts.root_dir.startswith(str(home[0]))
    assert make_sure() == (facts, ()), "a second time there is nothing to do"
    assert private.engine_paths().run.stat().st_mode & 0o077 == 0, "its socket is root's alone"


def test_containers_reach_the_network_and_host_rules_of_others_stay(context):
    made = context.build(step("net", 'RUN --network=none ["/bin/busybox", "--install", "-s", "/bin"]'))
    lines = []
    ended = context.engine.run(spec(made.image, "ip route", network="bridge", user="0:0"), lines.append)
    assert any(line.startswith(("default via 172.31.", "default via 10.213.")) for line in lines), lines
    assert ended.exit_code == 0
    state = private.read_state(private.engine_paths())
    program, env = network.iptables(private.engine_paths().prefix)
    for rule in state.rules:
        check = ["-C" if word in {"-A", "-I"} else word for word in rule]
        assert run_program([program, "--wait", *check], env=env).code == 0


def test_an_engine_that_dies_during_a_build_is_told_and_the_next_build_works(context):
    def on_event(event):
        if event.kind == "log" and event.text == "begun":
            kill()

    made = step("dies", sh("echo begun; busybox sleep 300"))
    began = time.monotonic()
    with pytest.raises(EngineError) as caught:
        context.build(made, on_event=on_event)
    assert caught.value.exit_code == 4
    assert caught.value.slug == "engine-lost"
    assert time.monotonic() - began < 30
    assert private.running_socket() is None
    with pytest.raises(EngineError) as refused:
        connect()
    assert refused.value.slug == "no-engine"
    make_sure()
    assert processes_of(private.engine_paths()) == [], "what the dead engine was building ended"
    again = step("again", sh("echo fine"))
    facts = Bench(connect(), context.folder, context.program).build(again)
    assert socket_lookup(connect().host).images([again.image, made.image]) == {again.image: facts, made.image: None}


def test_an_engine_that_dies_during_a_run_is_told_and_the_container_can_be_swept(context):
    image = context.build(step("run", sh("true"))).image
    asked = spec(image, "echo begun; busybox sleep 300")
    began = time.monotonic()
    with pytest.raises(EngineError) as caught:
        context.engine.run(asked, lambda _line: threading.Thread(target=kill).start())
    assert caught.value.exit_code == 4
    assert caught.value.slug == "engine-lost"
    assert time.monotonic() - began < 30
    make_sure()
    engine = connect()
    left = engine.containers("org.mlorch.test=t-docker")
    assert processes_of(private.engine_paths()) == [], "its processes ended with it"
    assert [each.name for each in left] == [asked.name]
    engine.remove(left[0].container_id)
    assert engine.containers("org.mlorch.test=t-docker") == []


def test_stop_leaves_nothing_but_the_folder(context):
    at = private.engine_paths()
    state = private.read_state(at)
    assert stop(at)
    assert not stop(at)
    assert private.running_socket() is None
    assert not Path(f"/proc/{state.pid}").exists()
    assert not Path(f"/sys/class/net/{state.bridge}").exists()
    assert not at.run.exists()
    assert mounts_below(Path("/proc/self/mountinfo").read_text(), (str(at.home),)) == []
    program, env = network.iptables(at.prefix)
    rules = run_program([program, "-S"], env=env).stdout + run_program([program, "-t", "nat", "-S"], env=env).stdout
    assert state.bridge not in rules
    assert "FORWARD" in rules, "the rules could be read"
