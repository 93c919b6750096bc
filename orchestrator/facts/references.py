"""Names of images and registry prefixes, parsed. Standard library only."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from orchestrator.errors import UsageError

_HOST_NAME = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])"
_HOST = rf"{_HOST_NAME}(?::[0-9]{{1,5}})?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
SHA256 = re.compile("[0-9a-f]{64}")
"""A sha256 in hex, without the name of its algorithm."""
_PREFIX = re.compile(rf"(?P<host>{_HOST_NAME}(?::(?P<port>[0-9]{{1,5}}))?)(?P<path>(?:/{_PART})*)/?")
_OWN = "mlorch"
"""The folder of our images below a registry prefix: ``PREFIX/mlorch/<layer>``."""
DOCKER_HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"
_HUB_INDEX = "index.docker.io"
"""Docker Hub's name of old, which docker still reads in images and writes into its credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An image in a registry: ``host/repository``, then a tag, a digest or both."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def wanted(self) -> str:
        """What to ask for: the digest where there is one."""
        return self.digest or self.tag

    def at(self, digest: str) -> Reference:
        """The same repository by digest alone."""
        return Reference(host=self.host, repository=self.repository, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryPrefix:
    """Where a site keeps images: a registry and, in it, a path (empty for its root)."""

    host: str
    path: str = ""

    def image(self, layer: str, content_id: str) -> Reference:
        """The image of a layer here: ``host/path/mlorch/<layer>:<content id>``."""
        below = f"{self.path}/{_OWN}" if self.path else _OWN
        return Reference(host=self.host, repository=f"{below}/{layer}", tag=content_id)

    def __str__(self) -> str:
        return f"{self.host}/{self.path}" if self.path else self.host


def is_digest(text: str) -> bool:
    """Whether `text` is a digest with an algorithm that we can check."""
    return _DIGEST.fullmatch(text) is not None


def parse_reference(text: str) -> Reference:
    """``[HOST/]REPOSITORY[:TAG][@DIGEST]`` as docker reads it; without either the tag is ``latest``.

    Raises `UsageError` (`bad-reference`).
    """
    name, at, digest = text.partition("@")
    host, rest = host_and_rest(name)
    repository, colon, tag = rest.partition(":")
    if at and not _DIGEST.fullmatch(digest):
        raise _bad(text, "its digest is not sha256: and 64 hexadecimal digits")
    if not re.fullmatch(_HOST, host):
        raise _bad(text, "its registry is no host name")
    if not _REPOSITORY.fullmatch(repository):
        raise _bad(text, "a repository has lower-case letters, digits and . _ - /")
    if colon and not _TAG.fullmatch(tag):
        raise _bad(text, "a tag has at most 128 letters, digits and . _ -")
    if not tag and not digest:
        tag = "latest"
    return Reference(host=host, repository=repository, tag=tag, digest=digest)


def host_and_rest(name: str) -> tuple[str, str]:
    """A first part with a dot or a port, or `localhost`, is a registry; every other name is one of Docker Hub."""
    head, slash, tail = name.partition("/")
    if not slash or not ("." in head or ":" in head or head == "localhost"):
        head, tail = DOCKER_HUB, name
    if head not in {DOCKER_HUB, _HUB_INDEX}:
        return head, tail
    return DOCKER_HUB, tail if "/" in tail else f"library/{tail}"


def parse_registry_prefix(text: str) -> RegistryPrefix:
    """``HOST[:PORT][/PATH]``, as `--push` and `registries` take it.

    Raises `UsageError` (`bad-registry`), also where a scheme or credentials are given.
    """
    match = _PREFIX.fullmatch(text)
    if match is None or int(match["port"] or 0) > 65535:
        hint = "write HOST[:PORT][/PATH], such as registry.example:5000/team; credentials belong to `docker login`"
        shown = text if "@" not in text else "…@" + text.rpartition("@")[2]  # what stands before may be a password
        raise UsageError(f"`{shown}` is no place in a registry", hint=hint, slug="bad-registry")
    return RegistryPrefix(host=match["host"], path=match["path"].removeprefix("/"))


def is_loopback(host: str) -> bool:
    """Whether a registry's host (with or without a port) is this machine's own loopback."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def api_host(host: str) -> str:
    """The host that answers for a registry's name: Docker Hub's API is elsewhere."""
    return _HUB_HOST if host == DOCKER_HUB else host


def hub_keys() -> tuple[str, ...]:
    """The keys under which credentials for Docker Hub are kept, that of `docker login` first."""
    return f"https://{_HUB_INDEX}/v1/", _HUB_INDEX, DOCKER_HUB


def registry_of_key(key: str) -> tuple[str, str]:
    """The registry that a key of docker's credentials is about, and the namespace in it; empty for all of it.

    Keys are ``HOST``, ``HOST/``, ``HOST/team`` and ``https://HOST/v1/``; the path of an address is no namespace.
    """
    scheme, _, rest = key.rpartition("://")
    host, _, path = rest.partition("/")
    return DOCKER_HUB if host == _HUB_INDEX else host, "" if scheme else path.strip("/")


def _bad(text: str, why: str) -> UsageError:
    return UsageError(f"`{text[:200]}` is no reference of an image: {why}", slug="bad-reference")
