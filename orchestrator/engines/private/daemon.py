"""Starts and stops the private dockerd: detached, on its own socket, with nothing left behind by `stop`.

containerd is started here and not by dockerd, which would take over the one that
the system runs: images would then lie outside mlorch's folder, among those of the
host's own engine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.cdi import FOLDERS
from orchestrator.engines.docker.lookup import ping
from orchestrator.engines.private import State, listener, network, read_state, state_text
from orchestrator.engines.private.cleanup import drop_stale_pid, end_leftovers, pid_of
from orchestrator.errors import EngineError
from orchestrator.facts.containers import Owner
from orchestrator.host.command import last_lines
from orchestrator.host.files import atomic_write_text
from orchestrator.host.process import boot_id, runs_here, start_ticks
from orchestrator.host.sysfs import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.engines.private import EnginePaths

START_S = 60.0
STOP_S = 40.0
_KEPT = (
    "HOME", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


def start(at: EnginePaths) -> State:
    """Start dockerd from the prefix and wait until it answers.

    Raises:
        EngineError: `engine-start` with the log's last lines, `bridge`, `packet-filter`, `no-subnet`.
    """
    before = read_state(at)
    if before is not None:
        stop(at)  # what a crash or a boot left: rules, a bridge, containerd
    drop_stale_pid(at.pid_file, "dockerd")
    drop_stale_pid(at.containerd_pid, "containerd")
    for folder in (at.home, at.data, at.run, at.cdi):
        folder.mkdir(parents=True, exist_ok=True)
    at.run.chmod(0o700)  # who may use the socket is root on this host
    # A killed dockerd remembers its bridge's subnet and would put it back over the one chosen now, past the
    # rules: containers and builds without a network. Nothing that it remembers there is of use to mlorch.
    (at.data / "network/files/local-kv.db").unlink(missing_ok=True)
    routes = text_of(Path("/proc/net/route"))
    bridge = f"mlorch-{at.tag}"
    subnet = network.free_subnet(routes, text_of(Path("/etc/resolv.conf")))
    rules = network.rules(bridge, subnet)
    network.make_bridge(bridge, subnet)
    network.add_rules(rules, at.prefix)
    dockerd_file, containerd_file = at.home / "daemon.json", at.home / "containerd.toml"
    atomic_write_text(dockerd_file, _config(at, bridge, network.default_mtu(routes)), overwrite=True, mode=0o600)
    atomic_write_text(containerd_file, _containerd_config(at), overwrite=True, mode=0o600)
    state = State(pid=0, start_ticks=0, boot_id=boot_id(), socket=str(at.socket), bridge=bridge, rules=rules)
    # Written before anything runs and again before it answers, so that an interrupted start can be taken back.
    _note(at, state)
    containerd = _spawn(at, "usr/bin/containerd", containerd_file)
    at.containerd_pid.parent.mkdir(parents=True, exist_ok=True)
    at.containerd_pid.write_text(f"{containerd.pid}\n", encoding="ascii")
    _wait(at, "containerd", containerd, lambda: listener(str(at.containerd_socket)) == containerd.pid)
    dockerd = _spawn(at, "usr/sbin/dockerd", dockerd_file)
    state = replace(state, pid=dockerd.pid, start_ticks=start_ticks(dockerd.pid) or 0)
    _note(at, state)
    _wait(at, "dockerd", dockerd, lambda: listener(str(at.socket)) == dockerd.pid and ping(str(at.socket)))
    return state


def _note(at: EnginePaths, state: State) -> None:
    atomic_write_text(at.state, state_text(state), overwrite=True, mode=0o600)


def _containerd_config(at: EnginePaths) -> str:
    """TOML; its strings are JSON's."""
    return (
        "version = 2\n"
        f"root = {json.dumps(str(at.data / 'containerd'))}\n"
        f"state = {json.dumps(str(at.exec_root / 'containerd'))}\n"
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f"[grpc]\naddress = {json.dumps(str(at.containerd_socket))}\n"
        '[debug]\nlevel = "warn"\n'
        '[plugins."io.containerd.internal.v1.opt"]\n'
        f"path = {json.dumps(str(at.data / 'containerd/opt'))}\n"
    )


def _config(at: EnginePaths, bridge: str, mtu: int | None) -> str:
    settings: dict[str, object] = {
        "hosts": [f"unix://{at.socket}"],
        "containerd": str(at.containerd_socket),
        "data-root": str(at.data),
        "exec-root": str(at.exec_root),
        "pidfile": str(at.pid_file),
        "group": "root",
        "features": {"containerd-snapshotter": True, "cdi": True},
        "cdi-spec-dirs": [*FOLDERS, str(at.cdi)],
        "builder": {"gc": {"enabled": True, "defaultKeepStorage": "20GB"}},
        "bridge": bridge,
        "iptables": False,
        "ip6tables": False,
        "log-level": "warn",
    }
    if mtu is not None and mtu < 1500:
        settings["mtu"] = mtu
    return json.dumps(settings, indent=2) + "\n"


def _spawn(at: EnginePaths, program: str, config: Path) -> subprocess.Popen[bytes]:
    prefix = at.prefix
    folders = [*(str(prefix / name) for name in ("usr/bin", "usr/sbin", "usr/libexec/docker")), "/usr/sbin", "/usr/bin"]
    path = ":".join([*folders, "/sbin", "/bin"])
    # Only what it needs: whatever secrets this process was given stay here.
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {"PATH": path, **network.library_environment(prefix)}
    option = "--config-file" if program.endswith("dockerd") else "--config"
    try:
        with at.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 (our own binary and file)
                [prefix / program, option, config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
    except OSError as error:
        stop(at)
        raise EngineError(
            f"the private engine does not start: {prefix / program}: {error.strerror}",
            hint=f"delete {prefix} and run `mlorch engine ensure` again",
            slug="engine-start",
        ) from error


def _wait(at: EnginePaths, name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    until = time.monotonic() + START_S
    why = f"{name} did not answer within {START_S:.0f} s"
    while time.monotonic() < until:
        if ready():
            process.returncode = 0  # it lives on by itself; keeps Popen from complaining about that
            return
        if process.poll() is not None:
            why = f"{name} ended with status {process.returncode}"
            break
        time.sleep(0.05)
    detail = last_lines(text_of(at.log), 15)
    stop(at)
    raise EngineError(
        f"the private engine does not start: {why}",
        hint=f"the whole log is in {at.log}",
        slug="engine-start",
        detail=detail,
    )


def stop(at: EnginePaths) -> bool:
    """Stop the daemon and its containers, then take its rules, bridge and sockets away; True where one ran.

    Images stay. Every part that is gone already is fine.
    """
    state = read_state(at)
    if state is None:
        return False
    owner = Owner(pid=state.pid, start_ticks=state.start_ticks, boot_id=state.boot_id)
    ran = runs_here(owner)
    if ran:
        _end(owner)
    containerd = pid_of(at.containerd_pid, "containerd")
    if containerd is not None:
        _end(Owner(pid=containerd, start_ticks=start_ticks(containerd) or 0, boot_id=boot_id()))
    end_leftovers(at)
    network.drop_rules(state.rules, at.prefix)
    network.drop_bridge(state.bridge)
    shutil.rmtree(at.run, ignore_errors=True)
    at.state.unlink(missing_ok=True)
    return ran


def _end(owner: Owner) -> None:
    """SIGTERM (dockerd then stops its containers), SIGKILL where that does not help in time."""
    for number, patience in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(owner.pid, number)
        until = time.monotonic() + patience
        while time.monotonic() < until and runs_here(owner):
            time.sleep(0.05)
        if not runs_here(owner):
            _reap(owner.pid)
            return


def _reap(pid: int) -> None:
    """Collect a child of ours that ended, as in a test that starts and stops in one process."""
    until = time.monotonic() + 2.0  # its first thread may be gone before the others
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < until:
            time.sleep(0.01)
