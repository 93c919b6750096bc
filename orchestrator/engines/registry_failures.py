"""What a registry's answers mean, and what an engine's words of a failed pull or push: one set of errors for both.

An engine hands on what several programs and libraries report; the words are those of
moby 20 to 28 (both image stores), BuildKit, containerd and podman.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from orchestrator.engines.refusals import disk_full
from orchestrator.engines.registry_trust import where_to_put
from orchestrator.errors import RegistryError, StepFailed
from orchestrator.facts.strict_json import strict_json
from orchestrator.http.failures import passing_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.errors import MlorchError
    from orchestrator.http.answer import Answer
    from orchestrator.http.failures import HttpError

_FULL = re.compile(
    r"no space left on device|insufficient storage|quota (?:has been )?exceeded|disk full", re.IGNORECASE
)
_QUOTA = re.compile(r"\bquota\b|\blimit\b.*\b(?:exceeded|reached)\b|\bexceed(?:s|ed)\b", re.IGNORECASE)
"""Why a registry refuses though it knows us: no other login helps."""
_WRITES = frozenset({"PUT", "POST", "PATCH"})
_DENIED = frozenset({401, 403, 407})
_SHOWN = 300


def down(host: str, why: str) -> RegistryError:
    return RegistryError(
        f"the registry {host} cannot be reached: {why}",
        hint="is it running, and the name right? `mlorch doctor` asks every configured one; "
        "`--no-pull` does without registries",
        slug="registry-down",
    )


def slow(host: str, why: str) -> RegistryError:
    return RegistryError(
        f"the registry {host} is too slow: {why}",
        hint="try again later, or do without it: `--no-pull`",
        slug="registry-slow",
    )


def untrusted(host: str, why: str) -> RegistryError:
    return RegistryError(
        f"the registry {host} shows a certificate that is not believed: {why}",
        hint=where_to_put(host),
        slug="registry-ca",
    )


def denied(host: str, what: str, *, known: bool, said: str = "") -> RegistryError:
    """``known`` is whether credentials were sent, ``said`` what the registry gives as its reason."""
    message = f"the registry {host} wants a login for {what}, and no credentials are kept for it"
    if known:
        message = f"the registry {host} refuses {what} (with the credentials that are kept for it)"
    return RegistryError(
        f"{message}: {said}" if said else message,
        hint=f"`docker login {host}` (or `podman login {host}`) with an account that may do this, then run it again",
        slug="registry-auth",
    )


def refused(host: str, what: str, said: str) -> RegistryError:
    """For a reason that only the registry knows: a quota, a rule of its owner."""
    return RegistryError(f"the registry {host} refuses {what}: {said}", slug="registry-refused")


def unsafe(host: str, other: str) -> RegistryError:
    """It sends us from TLS to a connection that anybody can read."""
    return RegistryError(
        f"the registry {host} sends us on to {other} without TLS; nothing was sent there",
        hint="its proxy or its storage has an address of the wrong kind (`http:`); whoever runs it can change that",
        slug="registry-unsafe",
    )


def too_large(host: str, what: str, said: str) -> RegistryError:
    """A limit on one request, which a proxy before the registry often has."""
    return RegistryError(
        f"the registry {host} does not take {what}: it is too large ({said})",
        hint="a proxy before it has a limit (nginx: client_max_body_size); whoever runs it can raise that",
        slug="registry-refused",
    )


def busy(host: str, said: str) -> RegistryError:
    """It asks to be left alone for a while."""
    return RegistryError(
        f"the registry {host} has had too many requests: {said}",
        hint=f"run it again later; `docker login {host}` often allows more",
        slug="registry-slow",
    )


def full(host: str, reason: str) -> RegistryError:
    return RegistryError(
        f"the registry {host} has no space left: {reason}",
        hint="free space there (delete tags, run its garbage collection), then push again",
        slug="registry-full",
    )


def not_found(what: str, said: str = "") -> RegistryError:
    return RegistryError(
        f"there is no {what}{f': {said}' if said else ''}",
        hint="was it deleted, or never pushed there? `mlorch images push` publishes images",
        slug="digest-not-found",
    )


def no_place(host: str, what: str, said: str) -> RegistryError:
    """A repository that has to be made before anything can be pushed to it."""
    return RegistryError(
        f"the registry {host} has no place for {what}: {said}",
        hint="make the repository (project) there first, and see that this account may push to it",
        slug="registry-refused",
    )


def mismatch(what: str, why: str) -> RegistryError:
    return RegistryError(
        f"{what} is not what was published: {why}",
        hint="nothing was kept of it; the registry's storage is damaged, or somebody changed it",
        slug="digest-mismatch",
    )


def from_http(host: str, error: HttpError) -> RegistryError:
    """A failure of the transport as one of the registry."""
    if error.slug == "http-ca":
        return untrusted(host, error.reason)
    if error.slug == "http-slow":
        return slow(host, error.reason)
    return down(host, error.reason)


def from_answer(host: str, what: str, answer: Answer, *, known: bool) -> RegistryError:
    """An answer that is no success and not one that the caller expects, as an error."""
    reason, status = message_of(answer), answer.status
    said = f"{status} {reason}".strip()
    if status in _DENIED and not _QUOTA.search(reason):
        return denied(host, what, known=known, said=said)
    if status == 507 or (status >= 500 and _FULL.search(reason)):
        return full(host, reason)
    if status == 404:
        return no_place(host, what, said) if answer.asked in _WRITES else not_found(what)
    if status == 413:
        found = too_large(host, what, said)
    elif status == 429:
        found = busy(host, f"{said}; it asks to wait {answer.retry_after:,.0f} s" if answer.retry_after else said)
    elif passing_status(status):
        found = down(host, f"it answers {said}")
    else:
        found = refused(host, what, said)
    return found


def is_full(answer: Answer) -> bool:
    """Whether an answer says that there is no space: no passing trouble."""
    return answer.status == 507 or (answer.status >= 500 and bool(_FULL.search(message_of(answer))))


def message_of(answer: Answer) -> str:
    """What an error's body says, in one line."""
    text = answer.beginning()
    try:
        errors = strict_json(text)["errors"]
        lines = [f"{error.get('message', '')} {_detail(error.get('detail'))}".strip() for error in errors]
        return "; ".join(line for line in lines if line)[:_SHOWN] or answer.reason
    except (ValueError, KeyError, TypeError, AttributeError):
        lines = text.strip().splitlines() if "html" not in answer.headers.get("Content-Type", "") else []
        return (lines[0] if lines else str(answer.reason))[:_SHOWN]


def _detail(detail: object) -> str:
    return f"({json.dumps(detail)})" if detail and detail != {} else ""


# -- an engine's words -------------------------------------------------------------------------


def _plain_http(host: str, _reference: str, _message: str) -> RegistryError:
    return RegistryError(
        f"the registry {host} speaks plain http, which the engine allows on loopback only",
        hint=f"give it TLS, or add {host} to `insecure-registries` of the engine's daemon.json",
        slug="registry-http",
    )


_NO_SPACE = r"no space left on device|insufficient storage|disk quota exceeded"
_MEANINGS: tuple[tuple[str, Callable[[str, str, str], MlorchError]], ...] = (
    (
        (
            r"unexpected commit (?:digest|size)|verification failed for digest|\bdigest mismatch|manifest verification "
            r"failed|\b(?:digest|checksum|content)\b[^:;]{0,90} (?:does not|did not|doesn't) match\b"
        ),
        lambda _host, reference, message: mismatch(reference, message),
    ),
    (
        r"x509:|certificate signed by unknown|tls: (?:failed to verify|bad certificate|unknown cert)",
        lambda host, _reference, message: untrusted(host, f"{message} (reported by the engine)"),
    ),
    (r"server gave HTTP response to HTTPS client", _plain_http),
    (r"toomanyrequests|too many requests", lambda host, _reference, message: busy(host, message)),
    (r"(?<!disk )\bquota\b.*\bexceeded|\bexceed(?:s|ed)\b.*\bquota", refused),
    (r"413 (?:Request Entity|Payload|Content) Too Large", too_large),
    (
        (
            r"\bunauthorized\b|no basic auth credentials|authentication required|authorization failed"
            r"|failed to authorize|insufficient_scope|access denied|access to the resource is denied"
            r"|(?:^|: )denied\b|403 Forbidden|401 Unauthorized"
        ),
        lambda host, reference, message: denied(
            host, reference, known="no basic auth" not in message.lower(), said=message
        ),
    ),
    (_NO_SPACE, lambda host, _reference, message: full(host, message)),
    (
        (
            r"manifest unknown|(?:manifest|image|tag)\b[^:;]{0,200} not found\b|(?:^|: )not found$|name unknown"
            r"|repository name not known|blob unknown|repository does not exist|404 Not Found"
        ),
        lambda _host, reference, message: not_found(reference, message),
    ),
    (
        r"i/o timeout|Client\.Timeout|deadline exceeded|TLS handshake timeout|awaiting headers",
        lambda host, _reference, message: slow(host, message),
    ),
    (
        (
            r"connection refused|no such host|connection reset|network is unreachable|no route to host|\bEOF\b"
            r"|bad gateway|service unavailable|\b50[0234] (?:Internal|Bad|Service|Gateway)"
            r"|status(?: code)?:? 50[0234]\b"
        ),
        lambda host, _reference, message: down(host, message),
    ),
)
"""What the words of a failure mean: the first that fit count."""


def from_engine(reference: str, message: str, *, pushing: bool) -> MlorchError:
    """What an engine reports of a pull or push that failed, as an error with its slug.

    `registry-ca`, `registry-auth`, `registry-down`, `registry-slow`, `registry-http`, `registry-full`,
    `registry-refused`, `digest-mismatch`, `digest-not-found`, `engine-disk-full`; `engine-refused` for words that
    nobody knows.
    """
    message = " ".join(message.split())[-2 * _SHOWN :]
    for words, meaning in _MEANINGS:
        if re.search(words, message, re.IGNORECASE):
            if words == _NO_SPACE and not pushing:
                return disk_full(f"to pull {reference}")
            found = meaning(reference.partition("/")[0], reference, message)
            if pushing and found.slug == "digest-not-found":
                return no_place(reference.partition("/")[0], reference, message)
            return found
    verb = "push" if pushing else "pull"
    return StepFailed(f"the engine could not {verb} {reference}: {message}", slug="engine-refused")


def stalled(reference: str, seconds: float) -> RegistryError:
    """A transfer that does not move."""
    return RegistryError(
        f"nothing of {reference} has moved for {seconds:.0f} s",
        hint="is the network or the registry overloaded? run it again: what arrived is kept",
        slug="registry-slow",
    )
