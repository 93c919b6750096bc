"""HTTP to one registry: TLS, credentials, tokens, patience; every failure a `RegistryError`.

Passing trouble (a broken connection, 429, 502 …) is tried again a few times. Silence is
not: who waited once for half a minute should hear of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from orchestrator.engines import registry_failures as failures
from orchestrator.engines.registry_trust import context, scheme
from orchestrator.facts.references import api_host, is_loopback
from orchestrator.facts.strict_json import strict_json
from orchestrator.http.client import Client, Request, basic, joined, origin
from orchestrator.http.failures import HttpError, Limits, Retries, passing_status
from orchestrator.images.registry.credentials import credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

    from orchestrator.engines import RegistryAuth
    from orchestrator.errors import RegistryError
    from orchestrator.http.answer import Answer

SILENCE_S = 30.0
RETRIES = Retries(attempts=4, first_pause_s=0.2, longest_pause_s=3.0, longest_asked_s=10.0, after_silence=False)
_CHALLENGE = re.compile(r"(?P<scheme>Basic|Bearer)\s+(?P<rest>.*)", re.IGNORECASE)
_FIELD = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. ``path`` is below the registry's root or a whole address that it gave; ``what`` names
    the thing in words of an error; ``body`` gives the data anew for every attempt. The body of the
    answer is read before it counts as one, unless ``stream`` leaves that to the caller.
    """

    method: str
    path: str
    what: str
    repository: str = ""
    expect: tuple[int, ...] = (200,)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], bytes | IO[bytes]] | None = None
    stream: bool = False


@dataclass(slots=True)
class Transport:
    """Asks one registry. Make one per host and keep it: it keeps connections and tokens.

    Not for several threads at once.
    """

    host: str
    client: Client = field(repr=False)
    _base: str = ""
    _auth: dict[str, RegistryAuth | None] = field(default_factory=dict, repr=False)
    """The credentials by repository."""
    _headers: dict[str, str] = field(default_factory=dict, repr=False)
    """The Authorization header by repository ("" for the registry itself)."""

    @classmethod
    def to(cls, host: str, client: Client, silence_s: float = SILENCE_S) -> Transport:
        """The transport to a registry that may say nothing for `silence_s`, with the site of `client`."""

        def trusted() -> Any:
            return context(api_host(host), client.site)

        limits = Limits(idle_s=silence_s)
        return cls(host, replace(client, limits=limits, retries=RETRIES, trust=trusted))

    def ask(self, call: Call) -> Answer:
        """The answer to a request, its status one of those that it expects.

        Raises:
            RegistryError: `registry-down`, `registry-slow`, `registry-ca`, `registry-auth`,
                `registry-full`, `digest-not-found` (404 not expected) or `registry-refused`.
        """

        def once() -> Answer:
            answer = self._send(call)
            if answer.status == 401 and self._answer_challenge(answer, call.repository):
                answer = self._send(call)
            if answer.status in call.expect:
                if not call.stream:
                    answer.content  # noqa: B018 (a body that breaks off is asked for again)
                return answer
            if passing_status(answer.status) and not failures.is_full(answer):
                raise answer.failure()
            raise failures.from_answer(self.host, call.what, answer, known=self._is_known(call.repository))

        try:
            return self.client.patiently(once)
        except HttpError as error:
            if error.answer is not None:
                known = self._is_known(call.repository)
                raise failures.from_answer(self.host, call.what, error.answer, known=known) from None
            raise self.failure(error) from None

    def failure(self, error: HttpError) -> RegistryError:
        """What broke on the way, as an error of this registry."""
        return failures.from_http(self.host, error)

    def address(self, path: str, following: str = "") -> str:
        """A path of this registry as a whole address; one that is whole already stays, and never loses its TLS.

        ``following`` is where the answer to that path sends us.

        A registry behind a proxy that ends TLS often calls itself http: that is asked with https all the same.
        Raises `RegistryError`: `registry-unsafe` for http to another server, `registry-down` for what is no address.
        """
        base = urlsplit(self.base())
        try:
            found = urlsplit(joined(joined(f"{self.base()}/", path), following))
        except HttpError as error:
            raise self.failure(error) from None
        if found.scheme == "http" and base.scheme == "https":
            if found.hostname != base.hostname or found.port not in {None, 80, base.port}:
                raise failures.unsafe(self.host, found.hostname or "nowhere")
            found = base._replace(path=found.path, query=found.query)
        return urlunsplit(found)

    def base(self) -> str:
        """``SCHEME://HOST`` of the registry's API."""
        if not self._base:
            host = api_host(self.host)
            self._base = f"{scheme(host, self.client.site)}://{host}"
        return self._base

    def auth(self, repository: str = "") -> RegistryAuth | None:
        """The credentials that are kept for this registry, or for a repository of it."""
        if repository not in self._auth:
            self._auth[repository] = credentials(self.host, self.client.site, repository)
        return self._auth[repository]

    def _is_known(self, repository: str) -> bool:
        """Whether credentials were looked for and found."""
        return self._auth.get(repository) is not None

    # -- one request -------------------------------------------------------------------

    def _send(self, call: Call) -> Answer:
        headers = {**call.headers, **self._authorization(call)}
        return self.client.send(
            Request(url=self.address(call.path), method=call.method, headers=headers, body=call.body)
        )

    def _authorization(self, call: Call) -> dict[str, str]:
        """The header for a request; nothing for an address of somebody else: another scheme, host or port."""
        if origin(self.address(call.path)) != origin(self.base()):
            return {}
        value = self._headers.get(call.repository)
        return {"Authorization": value} if value else {}

    # -- who we are --------------------------------------------------------------------

    def _answer_challenge(self, answer: Answer, repository: str) -> bool:
        """Learn the header that a 401 asks for; False where there is none, or the registry has refused it already."""
        match = _CHALLENGE.match(answer.headers.get("WWW-Authenticate", ""))
        if match is None:
            return False
        answer.beginning()  # read to its end, it gives the connection back; and it may be shown later
        auth = self.auth(repository)
        if match["scheme"].lower() == "basic":
            header = basic(auth.username, auth.password) if auth is not None and auth.password else ""
        else:
            header = self._bearer(dict(_FIELD.findall(match["rest"])), auth)
        if not header or header == self._headers.get(repository):
            return False
        self._headers[repository] = header
        return True

    def _bearer(self, fields: Mapping[str, str], auth: RegistryAuth | None) -> str:
        """A header with a token of the token server that a challenge names; empty where it gives none."""
        realm = fields.get("realm", "")
        try:
            realm = joined(f"{self.base()}/", realm)
            address = urlsplit(realm)
        except HttpError:
            return ""
        if address.scheme != "https" and not (address.scheme == "http" and is_loopback(address.netloc)):
            return ""  # a password never goes over a wire in the clear
        asked = {key: fields[key] for key in ("service", "scope") if fields.get(key)}
        answer = self.client.send(_token_request(realm, asked, auth))
        try:
            found = strict_json(answer.text) if answer.status == 200 else {}
            token = found.get("token") or found.get("access_token")
        except (ValueError, AttributeError):
            return ""
        return f"Bearer {token}" if _is_token(token) else ""


def _is_token(token: object) -> bool:
    """Whether this can stand in a header."""
    return isinstance(token, str) and token.isascii() and token.isprintable() and token != ""


def _token_request(realm: str, asked: Mapping[str, str], auth: RegistryAuth | None) -> Request:
    """What a token server is asked: by a form where a token stands for the password, else by its address."""
    if auth is not None and auth.identity_token:
        form = {**asked, "grant_type": "refresh_token", "refresh_token": auth.identity_token, "client_id": "mlorch"}
        return Request(
            url=realm,
            method="POST",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=lambda: urlencode(form).encode(),
            follow=False,
        )
    sent = {"Authorization": basic(auth.username, auth.password)} if auth is not None else {}
    query = urlencode(asked)
    between = "&" if urlsplit(realm).query else "?"
    return Request(url=f"{realm}{between}{query}" if query else realm, headers=sent, follow=False)
