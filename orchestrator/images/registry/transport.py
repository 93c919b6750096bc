"""HTTP to one registry: TLS, credentials, tokens, patience; every failure a `RegistryError`.

Passing trouble (a broken connection, 429, 502 …) is tried again a few times. Silence is
not: who waited once for half a minute should hear of it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orchestrator import __version__
from orchestrator.engines import registry_failures as failures
from orchestrator.engines.registry_trust import context, scheme
from orchestrator.facts.references import api_host, is_loopback
from orchestrator.images.registry.credentials import credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

    import requests

    from orchestrator.engines import RegistryAuth

CONNECT_S = 10.0
SILENCE_S = 30.0
ATTEMPTS = 4
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 3.0
_ALWAYS = {"User-Agent": f"mlorch/{__version__}", "Accept-Encoding": "identity"}
"""Bytes come as they are: a digest is of those, not of what a proxy made smaller."""
_CHALLENGE = re.compile(r"(?P<scheme>Basic|Bearer)\s+(?P<rest>.*)", re.IGNORECASE)
_FIELD = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. ``path`` is below the registry's root or a whole address that it gave; ``what`` names
    the thing in words of an error; ``body`` gives the data anew for every attempt.
    """

    method: str
    path: str
    what: str
    repository: str = ""
    expect: tuple[int, ...] = (200,)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], bytes | IO[bytes]] | None = None
    stream: bool = False


class _Passing(Exception):
    """An answer that may be another one the next time."""

    def __init__(self, answer: requests.Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


@dataclass(slots=True)
class Transport:
    """Asks one registry. Make one per host and keep it: it keeps connections and tokens.

    Not for several threads at once.
    """

    host: str
    env: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    silence_s: float = SILENCE_S
    _session: requests.Session | None = field(default=None, repr=False)
    _base: str = ""
    _auth: RegistryAuth | None = field(default=None, repr=False)
    _asked_auth: bool = False
    _headers: dict[str, str] = field(default_factory=dict, repr=False)
    """The Authorization header by repository ("" for the registry itself)."""

    def ask(self, call: Call) -> requests.Response:
        """The answer to a request, its status one of those that it expects.

        Raises:
            RegistryError: `registry-down`, `registry-slow`, `registry-ca`, `registry-auth`,
                `registry-full`, `digest-not-found` (404 not expected) or `registry-refused`.
        """
        import requests

        def once() -> requests.Response:
            answer = self._authorized(call)
            passing = answer.status_code in failures.PASSING and answer.status_code not in call.expect
            if passing and not failures.is_full(answer):
                raise _Passing(answer)
            return answer

        try:
            answer = self._patiently(once)
        except _Passing as passing:
            answer = passing.answer
        except requests.exceptions.RequestException as error:
            raise failures.from_exception(self.host, error, self.silence_s) from None
        if answer.status_code not in call.expect:
            raise failures.from_answer(self.host, call.what, answer, known=self._auth is not None)
        return answer

    def address(self, path: str) -> str:
        """A path of this registry as a whole address; one that is whole already stays."""
        if path.startswith(("http://", "https://")):
            return path
        return f"{self.base()}{path}"

    def base(self) -> str:
        """``SCHEME://HOST`` of the registry's API."""
        if not self._base:
            host = api_host(self.host)
            self._base = f"{scheme(host, self.env)}://{host}"
        return self._base

    def auth(self) -> RegistryAuth | None:
        """The credentials that are kept for this registry."""
        if not self._asked_auth:
            self._auth, self._asked_auth = credentials(self.host, self.env), True
        return self._auth

    # -- one request -------------------------------------------------------------------

    def _patiently(self, work: Callable[[], requests.Response]) -> requests.Response:
        import requests
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        def passing(error: BaseException) -> bool:
            if isinstance(error, _Passing):
                return True
            broken = isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.ChunkedEncodingError)
            final = isinstance(error, requests.exceptions.SSLError | requests.exceptions.Timeout)
            return broken and not final and "Name or service not known" not in str(error)

        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
            retry=retry_if_exception(passing),
            reraise=True,
        )
        return retrying(work)

    def _authorized(self, call: Call) -> requests.Response:
        """One request; where the registry asks who we are, once more with the answer."""
        answer = self._send(call)
        if answer.status_code == 401 and self._answer_challenge(answer, call.repository):
            answer = self._send(call)
        return answer

    def _authorization(self, call: Call) -> dict[str, str]:
        """The header for a request; nothing for an address of somebody else."""
        if urlsplit(self.address(call.path)).netloc != urlsplit(self.base()).netloc:
            return {}
        value = self._headers.get(call.repository)
        return {"Authorization": value} if value else {}

    def _send(self, call: Call) -> requests.Response:
        address = self.address(call.path)
        body = call.body() if call.body is not None else None
        try:
            return self.session().request(
                call.method,
                address,
                headers={**_ALWAYS, **call.headers, **self._authorization(call)},
                data=body,
                stream=call.stream,
                timeout=self._patience(),
                proxies=_proxies(address),
            )
        finally:
            if body is not None and not isinstance(body, bytes):
                body.close()

    def _patience(self) -> tuple[float, float]:
        return min(CONNECT_S, self.silence_s), self.silence_s

    def session(self) -> requests.Session:
        """Connections with the right certificates; what the environment says for other programs does not count."""
        if self._session is None:
            import requests

            self._session = requests.Session()
            self._session.trust_env = False  # else ~/.netrc and REQUESTS_CA_BUNDLE would count behind our back
            if self.base().startswith("https://"):
                self._session.mount("https://", _adapter(context(api_host(self.host), self.env)))
        return self._session

    # -- who we are --------------------------------------------------------------------

    def _answer_challenge(self, answer: requests.Response, repository: str) -> bool:
        """Learn the header that a 401 asks for; False where there is none, or the registry has refused it already."""
        match = _CHALLENGE.match(answer.headers.get("WWW-Authenticate", ""))
        answer.close()
        if match is None:
            return False
        auth = self.auth()
        if match["scheme"].lower() == "basic":
            header = _basic(auth) if auth is not None and auth.password else ""
        else:
            header = self._token(dict(_FIELD.findall(match["rest"])), auth)
        if not header or header == self._headers.get(repository):
            return False
        self._headers[repository] = header
        return True

    def _token(self, fields: Mapping[str, str], auth: RegistryAuth | None) -> str:
        """A bearer header from the token server that a challenge names; empty where it gives none."""
        realm = fields.get("realm", "")
        place = urlsplit(realm)
        if place.scheme != "https" and not (place.scheme == "http" and is_loopback(place.netloc)):
            return ""  # a password never goes over a wire in the clear
        asked = {key: fields[key] for key in ("service", "scope") if fields.get(key)}
        if auth is not None and auth.identity_token:
            form = {**asked, "grant_type": "refresh_token", "refresh_token": auth.identity_token, "client_id": "mlorch"}
            answer = self._token_answer("POST", realm, data=form)
        else:
            sent = {"Authorization": _basic(auth)} if auth is not None else {}
            answer = self._token_answer("GET", realm, params=asked, headers=sent)
        if answer.status_code != 200:
            return ""
        try:
            said = answer.json()
            token = said.get("token") or said.get("access_token")
        except (ValueError, AttributeError):
            return ""
        return f"Bearer {token}" if token else ""

    def _token_answer(self, method: str, realm: str, **more: Any) -> requests.Response:
        return self.session().request(
            method, realm, timeout=self._patience(), proxies=_proxies(realm), allow_redirects=False, **more
        )


def _proxies(address: str) -> dict[str, str]:
    """The environment's proxies for an address; none for this machine itself."""
    import requests

    found = {} if is_loopback(urlsplit(address).netloc) else requests.utils.get_environ_proxies(address)
    return dict(found)


def _basic(auth: RegistryAuth) -> str:
    import base64

    return "Basic " + base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()


def _adapter(tls: Any) -> requests.adapters.BaseAdapter:
    """An adapter of requests that checks certificates with `tls` alone."""
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
            super().init_poolmanager(*arguments, **more, ssl_context=tls)

        def cert_verify(self, conn: Any, *_: Any) -> None:
            """The context knows; requests would add its own bundle to it."""
            conn.cert_reqs = "CERT_REQUIRED"

        def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
            return super().proxy_manager_for(proxy, **{**more, "ssl_context": tls})

    return Adapter()
