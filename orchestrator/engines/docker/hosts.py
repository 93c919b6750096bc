"""Where the engine listens, told without asking it: standard library only, as every command needs it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SOCKET = "/var/run/docker.sock"


def find_host(env: Mapping[str, str] | None = None) -> str:
    """Where the engine listens: as the user says, else mlorch's own engine, else the default socket.

    The user says it with MLORCH_ENGINE_HOST (`engine_host` of mlorch.yaml), DOCKER_HOST or
    a docker context. mlorch's own runs only where the default one was missing or too old, so it comes first.
    Costs no docker import; the answer may name a socket on which nobody listens.
    """
    env = os.environ if env is None else env
    if host := named_host(env):
        return host
    from orchestrator.engines.private import running_socket

    private = running_socket()
    if private is not None:
        return f"unix://{private}"
    rootless = Path(env.get("XDG_RUNTIME_DIR") or "/nowhere") / "docker.sock"
    if not Path(DEFAULT_SOCKET).exists() and rootless.exists():
        return f"unix://{rootless}"
    return f"unix://{DEFAULT_SOCKET}"


def named_host(env: Mapping[str, str]) -> str | None:
    """The engine that the user named: for mlorch alone, by DOCKER_HOST, or by a docker context not the default one."""
    return env.get("MLORCH_ENGINE_HOST") or env.get("DOCKER_HOST") or _context_host(env)


def _context_host(env: Mapping[str, str]) -> str | None:
    """The endpoint of the current docker context, where one other than the default is set."""
    folder = Path(env.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        name = env.get("DOCKER_CONTEXT") or json.loads((folder / "config.json").read_text())["currentContext"]
        if name == "default":
            return None
        meta = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
        return str(json.loads(meta.read_text())["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
