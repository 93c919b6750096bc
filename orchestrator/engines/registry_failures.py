"""What a registry's answers mean, and what to do about each: the one place that knows them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from orchestrator.engines.registry_trust import where_to_put
from orchestrator.errors import RegistryError
from orchestrator.http.failures import passing_status

if TYPE_CHECKING:
    from orchestrator.http.answer import Answer
    from orchestrator.http.failures import HttpError

_FULL = re.compile(
    r"no space left on device|insufficient storage|quota (?:has been )?exceeded|disk full", re.IGNORECASE
)
_DENIED = frozenset({401, 403, 407})
SHOWN = 300
LATER = "try again later, or do without it: `--no-pull`"


def down(host: str, why: str) -> RegistryError:
    return RegistryError(
        f"the registry {host} cannot be reached: {why}",
        hint="is it running, and the name right? `mlorch doctor` asks every configured one; "
        "`--no-pull` does without registries",
        slug="registry-down",
    )


def slow(host: str, seconds: float) -> RegistryError:
    return RegistryError(
        f"the registry {host} said nothing for {seconds:.0f} s",
        hint=LATER,
        slug="registry-slow",
    )


def untrusted(host: str, why: str) -> RegistryError:
    return RegistryError(
        f"the registry {host} shows a certificate that is not believed: {why}",
        hint=where_to_put(host),
        slug="registry-ca",
    )


def denied(host: str, what: str, *, known: bool) -> RegistryError:
    """``known`` tells whether credentials were sent."""
    who = "with the credentials that are kept for it" if known else "and no credentials are kept for it"
    return RegistryError(
        f"the registry {host} refuses {what} ({who})"
        if known
        else f"the registry {host} wants a login for {what}, {who}",
        hint=f"`docker login {host}` (or `podman login {host}`) with an account that may do this, then run it again",
        slug="registry-auth",
    )


def full(host: str, reason: str) -> RegistryError:
    return RegistryError(
        f"the registry {host} has no space left: {reason}",
        hint="free space there (delete tags, run its garbage collection), then push again",
        slug="registry-full",
    )


def not_found(what: str) -> RegistryError:
    return RegistryError(
        f"there is no {what}",
        hint="was it deleted, or never pushed there? `mlorch images push` publishes images",
        slug="digest-not-found",
    )


def mismatch(what: str, found: str) -> RegistryError:
    return RegistryError(
        f"{what} has the digest {found}: these are not the bytes that were published",
        hint="nothing was kept of it; the registry's storage is damaged, or somebody changed it",
        slug="digest-mismatch",
    )


def from_http(host: str, error: HttpError, idle_s: float) -> RegistryError:
    """A failure of the transport as one of the registry."""
    if error.slug == "http-ca":
        return untrusted(host, error.reason)
    if error.slug == "http-slow":
        return slow(host, idle_s)
    return down(host, error.reason)


def from_answer(host: str, what: str, answer: Answer, *, known: bool) -> RegistryError:
    """An answer that is no success and not one that the caller expects, as an error."""
    reason = message_of(answer)
    if answer.status in _DENIED:
        return denied(host, what, known=known)
    if answer.status in {507, 413} or (answer.status >= 500 and _FULL.search(reason)):
        return full(host, reason)
    if answer.status == 404:
        return not_found(what)
    if passing_status(answer.status):
        return down(host, f"it answers {answer.status} {reason}".strip())
    return RegistryError(
        f"the registry {host} refuses {what}: {answer.status} {reason}".strip(), slug="registry-refused"
    )


def is_full(answer: Answer) -> bool:
    """Whether an answer says that there is no space: no passing trouble."""
    return answer.status == 507 or (answer.status >= 500 and bool(_FULL.search(message_of(answer))))


def message_of(answer: Answer) -> str:
    """What an error's body says, in one line."""
    try:
        errors = json.loads(answer.content)["errors"]
        lines = [f"{error.get('message', '')} {_detail(error.get('detail'))}".strip() for error in errors]
        return "; ".join(line for line in lines if line)[:SHOWN] or answer.reason
    except (ValueError, KeyError, TypeError, AttributeError):
        text = answer.text.strip().splitlines() if "html" not in answer.headers.get("Content-Type", "") else []
        return (text[0] if text else str(answer.reason))[:SHOWN]


def _detail(detail: object) -> str:
    return f"({json.dumps(detail)})" if detail and detail != {} else ""
