"""Starts and stops the private dockerd: detached, on its own socket, with nothing left behind by `stop`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from orchestrator.engines.lookup import ping
from orchestrator.engines.private import State, listener, network, read_state, state_text
from orchestrator.engines.private.leftovers import drop_stale_pid, end_leftovers
from orchestrator.errors import EngineError
from orchestrator.model.record import Owner
from orchestrator.system.command import last_lines
from orchestrator.system.files import atomic_write_text
from orchestrator.system.process import alive, boot_id, start_ticks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.engines.private import Places

START_S = 60.0
STOP_S = 40.0
CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")
_KEPT = (
    "HOME", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


def start(at: Places) -> State:
    """Start dockerd from the prefix and wait until it answers.

    Raises:
        EngineError: `engine-start` with the log's last lines, `bridge`, `packet-filter`, `no-subnet`.
    """
    before = read_state(at)
    if before is not None:
        stop(at)  # what a crash or a boot left: rules, a bridge, containerd
    drop_stale_pid(at.pid_file, "dockerd")
    drop_stale_pid(at.exec_root / "containerd/containerd.pid", "containerd")
    for folder in (at.home, at.data, at.run):
        folder.mkdir(parents=True, exist_ok=True)
    at.run.chmod(0o700)  # who may use the socket is root on this host
    routes = _text("/proc/net/route")
    bridge = f"mlorch-{at.tag}"
    subnet = network.free_subnet(routes, _text("/etc/resolv.conf"))
    rules = network.rules(bridge, subnet)
    network.make_bridge(bridge, subnet)
    network.add_rules(rules, at.prefix)
    atomic_write_text(at.config, _config(at, bridge, network.default_mtu(routes)), overwrite=True, mode=0o600)
    process = _spawn(at)
    state = State(
        pid=process.pid,
        start_ticks=start_ticks(process.pid) or 0,
        boot_id=boot_id(),
        socket=str(at.socket),
        bridge=bridge,
        subnet=subnet,
        rules=rules,
    )
    # Written before it answers, so that an interrupted start can be taken back.
    atomic_write_text(at.state, state_text(state), overwrite=True, mode=0o600)
    _wait(at, process)
    return state


def _config(at: Places, bridge: str, mtu: int | None) -> str:
    settings: dict[str, object] = {
        "hosts": [f"unix://{at.socket}"],
        "data-root": str(at.data),
        "exec-root": str(at.exec_root),
        "pidfile": str(at.pid_file),
        "group": "root",
        "features": {"containerd-snapshotter": True, "cdi": True},
        "cdi-spec-dirs": list(CDI_FOLDERS),
        "builder": {"gc": {"enabled": True, "defaultKeepStorage": "20GB"}},
        "bridge": bridge,
        "iptables": False,
        "ip6tables": False,
        "log-level": "warn",
    }
    if mtu is not None and mtu < 1500:
        settings["mtu"] = mtu
    return json.dumps(settings, indent=2) + "\n"


def _spawn(at: Places) -> subprocess.Popen[bytes]:
    prefix = at.prefix
    folders = [*(str(prefix / name) for name in ("usr/bin", "usr/sbin", "usr/libexec/docker")), "/usr/sbin", "/usr/bin"]
    path = ":".join([*folders, "/sbin", "/bin"])
    # Only what it needs: whatever secrets this process was given stay here.
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {"PATH": path, **network.library_environment(prefix)}
    with at.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 (our own binary and file)
            [prefix / "usr/sbin/dockerd", "--config-file", at.config],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment,
            start_new_session=True,
        )


def _wait(at: Places, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    why = f"it did not answer within {START_S:.0f} s"
    while time.monotonic() < until:
        if listener(str(at.socket)) == process.pid and ping(str(at.socket)):
            process.returncode = 0  # it lives on by itself; keeps Popen from complaining about that
            return
        if process.poll() is not None:
            why = f"it ended with status {process.returncode}"
            break
        time.sleep(0.05)
    detail = last_lines(_text(str(at.log)), 15)
    stop(at)
    raise EngineError(
        f"the private engine does not start: {why}",
        hint=f"the whole log is in {at.log}",
        slug="engine-start",
        detail=detail,
    )


def stop(at: Places) -> bool:
    """Stop the daemon and its containers, then take its rules, bridge and sockets away; True where one ran.

    Images stay. Every part that is gone already is fine.
    """
    state = read_state(at)
    if state is None:
        return False
    owner = Owner(pid=state.pid, start_ticks=state.start_ticks, boot_id=state.boot_id)
    ran = alive(owner)
    if ran:
        _end(owner)
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
        while time.monotonic() < until and alive(owner):
            time.sleep(0.05)
        if not alive(owner):
            _reap(owner.pid)
            return


def _reap(pid: int) -> None:
    """Collect a child of ours that ended, as in a test that starts and stops in one process."""
    until = time.monotonic() + 2.0  # its first thread may be gone before the others
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < until:
            time.sleep(0.01)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
