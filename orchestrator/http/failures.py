"""How an exchange may fail, how long it may take, and how often it is tried."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.http.answer import Answer

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_UNTRUSTED = re.compile(r"certificate.verify.failed|hostname mismatch|unknown ca", re.IGNORECASE)
_UNKNOWN_NAME = "Name or service not known"
_SHOWN = 300


class HttpError(StepFailed):
    """An exchange that failed. ``reason`` says why in a few words that follow a colon.

    The slug says how: `http-down` (no connection, or it broke), `http-slow`, `http-ca`,
    `http-status`, `http-size`, `http-unsafe` (a redirect from https to http), `bad-url`.
    ``passing`` says that it may go well the next time.
    """

    slug = "http-down"

    def __init__(
        self, host: str, reason: str, *, slug: str = "http-down", passing: bool = False, answer: Answer | None = None
    ) -> None:
        super().__init__(
            f"{host} cannot be asked: {reason}",
            hint="check the network, the proxy and the certificates (`mlorch doctor`), then run it again",
            slug=slug,
        )
        self.reason = reason
        self.passing = passing
        self.answer = answer
        """The answer, where there was one."""
        self.status = answer.status if answer is not None else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long an exchange may take, in seconds: to connect, and between signs of life."""

    connect_s: float = 10.0
    idle_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often something that failed in passing is tried, and the pauses between, which grow.

    A server that says `Retry-After` is given that time, up to ``longest_asked_s``; one that wants
    to be left alone for longer is not asked again.
    """

    attempts: int = 5
    first_pause_s: float = 0.5
    longest_pause_s: float = 10.0
    longest_asked_s: float = 60.0
    after_silence: bool = True
    """Whether who waited in vain waits once more."""


def passing_status(status: int) -> bool:
    """Whether an answer may be another one the next time."""
    return status in _PASSING


@contextmanager
def library_failures(host: str, limits: Limits) -> Iterator[None]:
    """Turn what the libraries below raise into `HttpError`."""
    import requests
    import urllib3

    try:
        yield
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as error:
        raise _from_library(host, error, limits) from None


def _from_library(host: str, error: Exception, limits: Limits) -> HttpError:
    import requests
    import urllib3

    words = str(error)
    if _UNTRUSTED.search(words):
        found = re.search(r"verify failed: ([^(]+?)(?: \(_ssl|['\")]|$)", words)
        return HttpError(host, found[1] if found else words[:_SHOWN], slug="http-ca")
    if isinstance(error, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
        return HttpError(host, f"TLS fails: {words[-_SHOWN:]}")
    silent = requests.exceptions.Timeout | urllib3.exceptions.TimeoutError
    if isinstance(error, silent) or "timed out" in words:
        return slow(host, limits.idle_s)
    wrong = requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema | UnicodeError
    if isinstance(error, wrong):
        return HttpError(host, f"its address is not valid ({_innermost(error)})", slug="bad-url")
    return HttpError(host, _innermost(error), passing=_UNKNOWN_NAME not in words)


def slow(host: str, seconds: float) -> HttpError:
    return HttpError(host, f"it said nothing for {seconds:.0f} s", slug="http-slow", passing=True)


def _innermost(error: BaseException) -> str:
    """The innermost words of an exception that libraries wrapped several times."""
    seen = error
    while (inner := getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)) and isinstance(
        inner, BaseException
    ):
        seen = inner
    return str(seen).rpartition(": ")[2][:_SHOWN] or type(error).__name__
