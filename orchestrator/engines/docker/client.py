"""The docker command-line client that builds: which one, with which plugins, and how it learns the proxies."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.docker.contexts import context_tls
from orchestrator.facts.references import host_and_rest, registry_of_key
from orchestrator.host.command import run_program
from orchestrator.host.folders import docker_settings
from orchestrator.host.scratch import secret_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from python_on_whales import DockerClient

_FROM = re.compile(r"^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(\S+)", re.IGNORECASE | re.MULTILINE)
_STAGE = re.compile(r"^[ \t]*FROM[ \t].*[ \t]AS[ \t]+(\S+)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_COPIED_FROM = re.compile(r"--(?:from=|mount=\S*\bfrom=)([^\s,]+)")
_PROXIES = {
    "http_proxy": "httpProxy",
    "https_proxy": "httpsProxy",
    "ftp_proxy": "ftpProxy",
    "all_proxy": "allProxy",
    "no_proxy": "noProxy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A docker client; ``config`` is its folder of settings, None for the user's own."""

    command: str | None
    config: str | None = None

    def buildx_version(self) -> str | None:
        """The version of the buildx plugin that this client finds, or None."""
        if self.command is None:
            return None
        env = {"DOCKER_CONFIG": self.config} if self.config else {}
        done = run_program([self.command, "buildx", "version"], env=env, timeout_s=20)
        words = done.stdout.split()
        return words[1].removeprefix("v") if done.code == 0 and len(words) > 1 else None


def choose(host: str) -> Client:
    """The client for the engine at `host`: the prefix's for mlorch's own engine, and where the host's has no buildx."""
    from orchestrator.engines.private import own_client, running_socket

    found = own_client()
    hosts = Client(command=shutil.which("docker"))
    if found is None:
        return hosts
    own = Client(command=found[0], config=found[1])
    if host == f"unix://{running_socket()}" or hosts.buildx_version() is None:
        return own
    return hosts


@contextmanager
def whales(
    client: Client, host: str, proxies: Mapping[str, str], registries: Collection[str] = ()
) -> Iterator[DockerClient]:
    """python-on-whales over `client` and `host`.

    Proxies, which may carry a password, go into a settings folder of this build's own:
    on the command line every user of the host could read them. Of the user's credentials
    it has those of ``registries`` (see `registries_of`).
    """
    from python_on_whales import DockerClient

    command = [client.command or "docker"]
    tls = context_tls(host, os.environ)  # which a client forgets that is given a host
    secured = [] if tls is None else tls.words()
    if not proxies:
        yield DockerClient(host=host, client_call=[*command, *secured], config=client.config)
        return
    with secret_folder() as folder:
        _overlay(Path(client.config) if client.config else docker_settings(os.environ), folder, proxies, registries)
        yield DockerClient(host=host, client_call=[*command, *secured], config=folder)


def registries_of(dockerfile: str, images: Iterable[str] = ()) -> frozenset[str]:
    """The registries that a build asks: of its Dockerfile's images and of ``images``; `DOCKER_HUB` for a bare name."""
    stages = {"scratch", *_STAGE.findall(dockerfile)}
    named = {*_FROM.findall(dockerfile), *_COPIED_FROM.findall(dockerfile)} - stages
    return frozenset(map(_registry, (*named, *images)))


def _registry(image: str) -> str:
    return host_and_rest(image.removeprefix("docker-image://"))[0]


def _overlay(user: Path, folder: Path, proxies: Mapping[str, str], registries: Collection[str]) -> None:
    """The settings of `user` in `folder` (0700), with other proxies, and the credentials of ``registries`` alone."""
    settings: object = {}
    with contextlib.suppress(OSError):  # there is none, or it is another user's
        for entry in user.iterdir():
            if entry.name != "config.json":
                (folder / entry.name).symlink_to(entry.absolute())
    try:
        settings = json.loads((user / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        settings = {}
    known = {_PROXIES[name.lower()]: value for name, value in proxies.items() if name.lower() in _PROXIES}
    merged = {**(settings if isinstance(settings, dict) else {}), "proxies": {"default": known}}
    if isinstance(merged.get("auths"), dict):
        auths = merged["auths"].items()
        merged["auths"] = {key: value for key, value in auths if registry_of_key(key)[0] in registries}
    handle = os.open(folder / "config.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(json.dumps(merged))
