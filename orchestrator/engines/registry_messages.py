"""What an engine's words of a failed pull or push mean: the same errors as our own client gives.

An engine hands on what several programs and libraries said; the words are those of
moby 20 to 28 (both image stores), BuildKit, containerd and podman.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.engines import registry_failures as failures
from orchestrator.errors import EngineError, RegistryError, StepFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.errors import MlorchError

_WORDS = {
    "digest-mismatch": r"unexpected commit (?:digest|size)|verification failed for digest|digest mismatch"
    r"|does not match (?:the )?(?:expected|digest)|failed precondition|manifest verification failed",
    "registry-ca": r"x509:|certificate signed by unknown|tls: (?:failed to verify|bad certificate|unknown cert)",
    "registry-http": r"server gave HTTP response to HTTPS client",
    "registry-auth": r"unauthorized|no basic auth credentials|authentication required|authorization failed"
    r"|insufficient_scope|access denied|access to the resource is denied|403 Forbidden|401 Unauthorized",
    "no-space": r"no space left on device|insufficient storage|507 ",
    "digest-not-found": r"manifest unknown|not found|name unknown|blob unknown|repository does not exist|404 Not Found",
    "registry-slow": r"i/o timeout|Client\.Timeout|deadline exceeded|TLS handshake timeout|awaiting headers",
    "registry-down": r"connection refused|no such host|connection reset|network is unreachable|no route to host"
    r"|\bEOF\b|bad gateway|service unavailable|50[0234] ",
}
_COMPILED = {slug: re.compile(words, re.IGNORECASE) for slug, words in _WORDS.items()}


def from_engine(reference: str, message: str, *, pushing: bool) -> MlorchError:
    """What an engine said of a pull or push that failed, as an error with its slug.

    `registry-ca`, `registry-auth`, `registry-down`, `registry-slow`, `registry-http`, `registry-full`,
    `digest-mismatch`, `digest-not-found`, `engine-disk-full`; `engine-refused` for words that nobody knows.
    """
    message = " ".join(message.split())[-2 * failures.SHOWN :]
    slug = next((slug for slug, words in _COMPILED.items() if words.search(message)), "")
    if slug == "no-space":
        slug = "registry-full" if pushing else "engine-disk-full"
    if slug in _ERRORS:
        return _ERRORS[slug](reference, message)
    return StepFailed(
        f"the engine could not {'push' if pushing else 'pull'} {reference}: {message}", slug="engine-refused"
    )


def stalled(reference: str, seconds: float) -> RegistryError:
    """A transfer that does not move."""
    return RegistryError(
        f"nothing of {reference} has moved for {seconds:.0f} s",
        hint="is the network or the registry overloaded? run it again: what arrived is kept",
        slug="registry-slow",
    )


def _mismatch(reference: str, message: str) -> RegistryError:
    return RegistryError(
        f"what the registry gave for {reference} is not what was published: {message}",
        hint="nothing was tagged; the registry's storage is damaged, or somebody changed it",
        slug="digest-mismatch",
    )


def _plain_http(reference: str, _said: str) -> RegistryError:
    host = _host(reference)
    return RegistryError(
        f"the registry {host} speaks plain http, which the engine allows on loopback only",
        hint=f"give it TLS, or add {host} to `insecure-registries` of the engine's daemon.json",
        slug="registry-http",
    )


def _slow(reference: str, message: str) -> RegistryError:
    return RegistryError(
        f"the registry {_host(reference)} is too slow: {message}", hint=failures.LATER, slug="registry-slow"
    )


def _disk_full(reference: str, _said: str) -> EngineError:
    return EngineError(
        f"the engine has no space left to pull {reference}",
        hint="free space where the engine keeps images (`mlorch doctor` says where; `mlorch images prune` "
        "removes what no plan needs), then run it again; nothing was tagged",
        slug="engine-disk-full",
    )


def _host(reference: str) -> str:
    return reference.partition("/")[0]


_ERRORS: dict[str, Callable[[str, str], MlorchError]] = {
    "digest-mismatch": _mismatch,
    "registry-ca": lambda reference, message: failures.untrusted(_host(reference), f"{message} (said by the engine)"),
    "registry-http": _plain_http,
    "registry-auth": lambda reference, message: failures.denied(
        _host(reference), reference, known="no basic auth" not in message
    ),
    "registry-full": lambda reference, message: failures.full(_host(reference), message),
    "engine-disk-full": _disk_full,
    "digest-not-found": lambda reference, _said: failures.not_found(reference),
    "registry-slow": _slow,
    "registry-down": lambda reference, message: failures.down(_host(reference), message),
}
