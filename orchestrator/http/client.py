"""Asks servers, with the certificates and proxies of the site.

Nothing waits for ever. What the environment says for other programs (`~/.netrc`,
`REQUESTS_CA_BUNDLE`) does not count behind our back.
"""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from orchestrator import __version__
from orchestrator.host.proxies import proxy_for
from orchestrator.host.site import SiteConfig, this_site
from orchestrator.http.answer import Answer
from orchestrator.http.failures import HttpError, Limits, Retries, library_failures
from orchestrator.http.watch import timed_pools

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from typing import IO, Any

    import requests
    from tenacity import RetryCallState

    from orchestrator.http.answer import Partial

_MOST_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_SECRET_HEADERS = frozenset({"authorization", "cf-access-token", "cf-access-client-id", "cf-access-client-secret"})
"""What only the server gets that was asked."""
_ALWAYS = {"User-Agent": f"mlorch/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One exchange; ``body`` gives the data anew for every attempt and redirect."""

    url: str = field(repr=False)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Callable[[], bytes | IO[bytes]] | None = None
    follow: bool = True
    """Whether redirects are followed."""


@dataclass(slots=True, kw_only=True)
class Client:
    """Asks servers. Keeps connections; for several threads at once.

    ``trust`` gives what servers are believed with, the site's certificates where it is left out.
    """

    site: SiteConfig = field(default_factory=this_site, repr=False)
    limits: Limits = field(default_factory=Limits)
    retries: Retries = field(default_factory=Retries)
    trust: Callable[[], ssl.SSLContext] | None = field(default=None, repr=False)
    _session: requests.Session | None = field(default=None, init=False, repr=False)
    _trusted: bool = field(default=False, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def send(self, request: Request) -> Answer:
        """The answer, whatever its status; redirects are followed, https never to http.

        Credentials (of the address, or a header that is known to hold some) go to the server that
        was asked, to no other that it sends us to.

        Raises:
            HttpError: there is no answer.
        """
        url, method, headers, body = request.url, request.method, dict(request.headers), request.body
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._exchange(method, url, headers, body)
            if not request.follow or response.status_code not in _REDIRECTS or "Location" not in response.headers:
                return Answer(response, self.limits)
            response.close()
            following = joined(url, response.headers["Location"])
            headers = _redirected(url, following, headers)
            if response.status_code == 303 or (response.status_code in {301, 302} and method == "POST"):
                method, body = ("HEAD" if method == "HEAD" else "GET"), None
            url = following
        raise HttpError(urlsplit(url).netloc, f"it redirects more than {_MOST_REDIRECTS} times")

    def patiently(self, work: Callable[[], T], on_retry: Callable[[HttpError, float], None] | None = None) -> T:
        """What ``work`` gives; it is tried again where it raises an `HttpError` that is passing.

        ``on_retry`` hears of the error and the seconds until the next attempt.
        """
        import tenacity

        backoff = tenacity.wait_random_exponential(
            multiplier=self.retries.first_pause_s, max=self.retries.longest_pause_s
        )

        def pause(state: RetryCallState) -> float:
            return max(backoff(state), _asked_pause(_error_of(state)))

        def before_sleep(state: RetryCallState) -> None:
            if on_retry is not None:
                on_retry(_error_of(state), state.next_action.sleep if state.next_action else 0.0)

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.retries.attempts),
            wait=pause,
            retry=tenacity.retry_if_exception(self._may_pass),
            before_sleep=before_sleep,
            reraise=True,
        )
        return retrying(work)

    def _may_pass(self, error: BaseException) -> bool:
        if not isinstance(error, HttpError) or not error.passing:
            return False
        if error.slug == "http-slow" and not self.retries.after_silence:
            return False
        return _asked_pause(error) <= self.retries.longest_asked_s

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: Callable[[], bytes | IO[bytes]] | None
    ) -> requests.Response:
        """One request and the head of its answer."""
        plain, authorization = split_credentials(url)
        host = urlsplit(plain).netloc
        if not plain.startswith(("http://", "https://")):
            raise HttpError(host or "it", "its address is neither http nor https", slug="bad-url")
        sent = {**_ALWAYS, **({"Authorization": authorization} if authorization else {}), **headers}
        proxy = proxy_for(plain, self.site.proxies)
        data = body() if body is not None else None
        idle_s = self.limits.idle_s
        try:
            with library_failures(host, self.limits):
                return self._connections(tls=plain.startswith("https") or proxy.startswith("https")).request(
                    method,
                    plain,
                    headers=sent,
                    data=data,
                    stream=True,
                    timeout=(min(self.limits.connect_s, idle_s), idle_s),
                    proxies={"http": proxy, "https": proxy} if proxy else {},
                    allow_redirects=False,
                )
        finally:
            if data is not None and not isinstance(data, bytes):
                data.close()

    def _connections(self, *, tls: bool) -> requests.Session:
        """The session; certificates are read when they are first needed, as that takes a moment."""
        with self._lock:
            if self._session is None:
                self._session = _new_session()
            if tls and not self._trusted:
                context = self.trust() if self.trust is not None else trust(self.site)
                for scheme in ("https://", "http://"):  # a proxy may speak TLS too
                    self._session.mount(scheme, _adapter(context))
                self._trusted = True
            return self._session

    # -- files -----------------------------------------------------------------------------

    def receive(self, url: str, part: Partial, headers: Mapping[str, str] | None = None) -> None:
        """Bring a file: what ``part`` has already of the same one is not asked for again. ``headers`` are sent along.

        Raises:
            HttpError: it did not come whole; ``part`` holds what came.
        """
        wanted = part.range_of(url)
        with self.send(Request(url=url, headers={**(headers or {}), **wanted})) as answer:
            if answer.status == 200:
                part.restart(url, answer)
            elif answer.status != 206 or not wanted or not part.fits(answer):
                part.restart()
                raise answer.failure(passing=bool(wanted))  # without the half that we have it may go well
            for block in answer.blocks(raw=True):
                if not part.add(block):
                    return


def split_credentials(url: str) -> tuple[str, str | None]:
    """The address without user and password, and the value of an Authorization header for them."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, None
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return urlunsplit(plain), basic(unquote(parts.username), unquote(parts.password or ""))


def basic(user: str, password: str) -> str:
    """The value of an Authorization header for a user and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def joined(url: str, place: str) -> str:
    """Where a server sends us, seen from ``url``. Raises `HttpError` (`bad-url`) for what is no address."""
    try:
        following = urljoin(url, place)
        _ = urlsplit(following).port  # refuses what is no port
    except ValueError as error:
        host = urlsplit(url).netloc.rpartition("@")[2]
        raise HttpError(host, f"it sends us to what is no address ({error})", slug="bad-url") from None
    return following


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: who must be the same to be sent the same secrets."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def _redirected(url: str, following: str, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers for the address that a server sends us to. Raises `HttpError` for one that is not safe."""
    before, after = urlsplit(url), urlsplit(following)
    if before.scheme == "https" and after.scheme == "http":
        raise HttpError(before.hostname or "", f"it redirects to {after.hostname} without TLS", slug="http-unsafe")
    if origin(url) == origin(following):
        return dict(headers)
    return {name: value for name, value in headers.items() if name.lower() not in _SECRET_HEADERS}


def _error_of(state: RetryCallState) -> HttpError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, HttpError), "only those are tried again"
    return error


def _asked_pause(error: HttpError) -> float:
    return error.answer.retry_after if error.answer is not None else 0.0


# -- connections -----------------------------------------------------------------------------


def trust(site: SiteConfig) -> ssl.SSLContext:
    """What servers are believed with: the system's certificates (certifi's where it has none) and the site's.

    Raises:
        HttpError: `http-ca`, the site's bundle cannot be read.
    """
    import ssl

    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        from certifi import where

        context.load_verify_locations(cafile=where())
    if site.ca_bundle is not None and str(site.ca_bundle) != ssl.get_default_verify_paths().cafile:
        try:
            context.load_verify_locations(cafile=site.ca_bundle)
        except (OSError, ssl.SSLError) as error:
            raise HttpError(
                str(site.ca_bundle), f"it cannot be used as certificates ({error})", slug="http-ca"
            ) from None
    return context


def _new_session() -> requests.Session:
    """Connections of our own: no cookies, nothing of the environment. Without certificates: see `_adapter`."""
    from http.cookiejar import DefaultCookiePolicy

    import requests

    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        session.mount(scheme, _adapter())
    return session


def _adapter(context: ssl.SSLContext | None = None) -> requests.adapters.BaseAdapter:
    """An adapter of requests that waits for no head without end, and checks certificates with `context` alone."""
    from requests.adapters import HTTPAdapter

    given: dict[str, Any] = {} if context is None else {"ssl_context": context}

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
            super().init_poolmanager(*arguments, **{**more, **given})
            self.poolmanager.pool_classes_by_scheme = timed_pools()

        def cert_verify(self, conn: Any, *arguments: Any) -> None:
            """The context knows; requests would add its own bundle to it."""
            if context is None:
                super().cert_verify(conn, *arguments)  # type: ignore[no-untyped-call]  # of requests
            else:
                conn.cert_reqs = "CERT_REQUIRED"

        def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **{**more, **given})
            manager.pool_classes_by_scheme = timed_pools()
            return manager

    return Adapter()
