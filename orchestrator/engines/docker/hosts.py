"""Where the engine listens, and whether somebody does: standard library only, as every command needs it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.docker.contexts import current_context
from orchestrator.engines.ways import to_an_engine
from orchestrator.errors import EngineError
from orchestrator.host.folders import runtime_folder
from orchestrator.host.paths import exists

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SOCKET = "/var/run/docker.sock"
_PROBE_S = 2.0
_SILENT = {
    errno.ENOENT: "there is no such socket",
    errno.EACCES: "this user may not use its socket (is the user in the socket's group?)",
    errno.ECONNREFUSED: "the socket is there, but nothing listens on it",
}


def find_host(setting: str = "", env: Mapping[str, str] | None = None) -> str:
    """Where the engine listens: as the user says, else mlorch's own engine, else the default socket.

    The user says it with the ``setting`` (`engine_host` of mlorch.yaml, MLORCH_ENGINE_HOST), DOCKER_HOST or
    a docker context. mlorch's own runs only where the default one was missing or too old, so it comes first.
    Costs no docker import; the answer may name a socket on which nobody listens. Raises as `named_host`.
    """
    env = os.environ if env is None else env
    if host := named_host(setting, env):
        return host
    from orchestrator.engines.private import running_socket

    private = running_socket()
    if private is not None:
        return f"unix://{private}"
    runtime = runtime_folder(env)
    if runtime is not None and not exists(Path(DEFAULT_SOCKET)) and exists(runtime / "docker.sock"):
        return f"unix://{runtime / 'docker.sock'}"
    return f"unix://{DEFAULT_SOCKET}"


def named_host(setting: str, env: Mapping[str, str]) -> str | None:
    """The engine that the user named: for mlorch alone, by DOCKER_HOST, or by a docker context not the default one.

    Raises `EngineError` as `current_context`.
    """
    if host := setting or env.get("MLORCH_ENGINE_HOST") or env.get("DOCKER_HOST"):
        return host
    context = current_context(env)
    return None if context is None else context.host


def socket_path(host: str) -> str | None:
    """The unix socket that a host (``unix:///run/docker.sock``) names; None for a host elsewhere."""
    path = host.removeprefix("unix://")
    return None if path == host else path


def silence(path: str) -> str:
    """Why nobody answers on a unix socket, in plain words; empty where somebody listens."""
    if not os.path.lexists(path):
        return _SILENT[errno.ENOENT]
    import socket  # where there is no engine nothing needs it

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(path)
        except OSError as error:
            return _SILENT.get(error.errno or 0, str(error))
    return ""


def no_engine(host: str, why: str) -> EngineError:
    """Nobody answers at ``host``."""
    return EngineError(
        f"no container engine answers at {host}: {why}",
        hint=to_an_engine(),
        slug="no-engine",
    )


def require_listener(host: str) -> None:
    """Raise `EngineError` (`no-engine`) where ``host`` is a unix socket on which nobody listens."""
    path = socket_path(host)
    if path is not None and (why := silence(path)):
        raise no_engine(host, why)


def require_whole(host: str) -> None:
    """Raise `EngineError` (`no-engine`) where ``host`` is mlorch's own dockerd and its containerd has ended.

    It would answer questions still, and hang at the first container.
    """
    from orchestrator.engines.private import engine_paths, lacks_containerd

    at = engine_paths()
    if host == f"unix://{at.socket}" and lacks_containerd(at):
        raise no_engine(host, "its containerd has ended")
