"""The docker context that a user chose: where its engine listens, and the files of its TLS. Standard library only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError
from orchestrator.host.folders import docker_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DEFAULT = "default"
_FILES = ("ca", "cert", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The files of a context for its engine, each empty where it has none; ``verify`` whether the engine is checked."""

    ca: str
    cert: str
    key: str
    verify: bool

    def words(self) -> list[str]:
        """What a docker client that is given `--host` needs beside it."""
        files = {"--tlscacert": self.ca, "--tlscert": self.cert, "--tlskey": self.key}
        given = [word for option, path in files.items() if path for word in (option, path)]
        return [*given, "--tlsverify" if self.verify else "--tls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerContext:
    """One other than the default context; ``tls`` is None where it has no files for it."""

    name: str
    host: str
    tls: Tls | None


def current_context(env: Mapping[str, str]) -> DockerContext | None:
    """The context of DOCKER_CONTEXT, else the one that `docker context use` chose; None where that is the default one.

    Raises `EngineError` [docker-context] for one that is chosen and cannot be read: another engine is never taken.
    """
    folder = docker_settings(env)
    name = env.get("DOCKER_CONTEXT") or _chosen(folder)
    if not name or name == _DEFAULT:
        return None
    key = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
    try:
        meta = json.loads((folder / "contexts/meta" / key / "meta.json").read_text(encoding="utf-8"))
        endpoint = meta["Endpoints"]["docker"]
        host, skip = str(endpoint["Host"]), bool(endpoint.get("SkipTLSVerify"))
    except FileNotFoundError:
        raise _unusable(name, "there is no such context") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unusable(name, f"it cannot be read ({type(error).__name__})") from None
    return DockerContext(name=name, host=host, tls=_tls(folder / "contexts/tls" / key / "docker", verify=not skip))


def context_tls(host: str, env: Mapping[str, str]) -> Tls | None:
    """The TLS of the current context, where ``host`` is its engine; None for an engine that was named otherwise."""
    if env.get("DOCKER_HOST") or host.startswith("unix://"):
        return None
    context = current_context(env)
    return context.tls if context is not None and context.host == host else None


def _chosen(folder: Path) -> str:
    """The context that the user's config.json names; empty where it names none, or may not be read by this user."""
    try:
        text = (folder / "config.json").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    try:
        name = json.loads(text).get("currentContext")
    except (ValueError, AttributeError, RecursionError):
        raise EngineError(
            f"{folder / 'config.json'} is not JSON, so nobody knows which docker context is meant",
            hint="mend it, or say where the engine listens: DOCKER_HOST=unix:///var/run/docker.sock",
            slug="docker-context",
        ) from None
    return name if isinstance(name, str) else ""


def _tls(folder: Path, *, verify: bool) -> Tls | None:
    found = {name: str(path) for name in _FILES if (path := folder / f"{name}.pem").is_file()}
    if not found:
        return None
    return Tls(**{name: found.get(name, "") for name in _FILES}, verify=verify)


def _unusable(name: str, why: str) -> EngineError:
    return EngineError(
        f"the docker context `{name[:80]}` cannot be used: {why}",
        hint="`docker context ls` lists them; unset DOCKER_CONTEXT, or `docker context use default`",
        slug="docker-context",
    )
