"""One request after another or thousands at once: an answer streamed from a server, with its limits."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from ..retry_after import asked_wait_s, asks
from .errors import EndpointError, printable, without
from .events import BOM, Answer, error_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

CONNECT_S = 30.0
KEEP_S = 2.0
"""An idle connection is used again for so long: servers close theirs after five seconds (uvicorn, cpp-httplib)."""
LARGEST_ERROR = 4096
"""Bytes that are read of what comes in place of an answer."""
LARGEST_DOCUMENT = 2**24
"""Bytes of what a server says of itself; a gateway's list of models with their cards can be long."""
_ASK = aiohttp.ClientTimeout(total=10.0)
READ = 2**17
RETRIES = 3
"""Of a request whose connection was closed before an answer began."""
END_S = 1.0
"""That a body has to end in after its last event: then its connection can be used again."""
AGAIN_S = 0.25
"""Between two requests to a server that is not ready, or asks to be left alone for less."""
STREAM, JSON = "text/event-stream", "application/json"
_VERSIONED = re.compile(r".*(/v[0-9][0-9a-z]*(?:/.*)?)\Z")
"""The path of an address that names a version, the last one, and what follows it."""
HEADERS = {"Content-Type": JSON, "Accept": STREAM, "Accept-Encoding": "identity", "User-Agent": "mlorch"}
"""Nothing is to be compressed: a packed stream holds tokens back, and to unpack it would be the client's time."""


@dataclass(eq=False)
class Under:
    """A request under way at a server; times from `time.monotonic`."""

    begun: bool
    heard: float


class Server:
    """One server's addresses, what is under way at it, and when it was last heard of.

    Below ``api`` is OpenAI's interface, below ``url`` what else the server has (`/health`). The interface is at
    ``/v1``, unless the address names a version itself: ``/v3`` of OpenVINO's model server, ``/v1beta/openai``.
    """

    def __init__(self, url: str) -> None:
        url = url.rstrip("/")
        versioned = _VERSIONED.match(urlsplit(url).path)
        self.url = url[: len(url) - len(versioned[1])] if versioned else url
        self.api = url if versioned else f"{url}/v1"
        self.under: set[Under] = set()
        self.heard = 0.0
        self.retried = 0
        self.ends_bodies: bool | None = None
        """Whether its answers' bodies end after the last event, as the first of them did; None before that."""

    def wrong(self, text: str) -> EndpointError:
        return EndpointError(f"{self.url} {text}")


def session(key: str | None, ca_file: str | None) -> aiohttp.ClientSession:
    """To be made in the loop that uses it. Raises `EndpointError` for a file that holds no certificates.

    Proxies and passwords of the environment are not used, cookies not kept.
    """
    import certifi  # mlorch's own modules, which the rule is for, read no certificates at their import

    try:
        context = ssl.create_default_context(cafile=ca_file or certifi.where())
    except (OSError, ssl.SSLError) as error:
        raise EndpointError(f"the file of certificates cannot be read: {error}") from error
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=KEEP_S, ttl_dns_cache=300),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        headers={**HEADERS, **({} if key is None else {"Authorization": f"Bearer {key}"})},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        read_bufsize=READ,
        trust_env=False,
    )


class Requests:
    """Answers from servers, through one session."""

    def __init__(self, opened: aiohttp.ClientSession, key: str | None) -> None:
        self._session, self._key = opened, key

    async def answer(
        self, server: Server, path: str, body: bytes, limit: int, first: Callable[[Answer], None]
    ) -> Answer:
        """The whole answer of a path of the interface; ``first`` is called once, when there is something of it.

        Raises `EndpointError`.
        """
        under = Under(begun=False, heard=time.monotonic())
        server.under.add(under)
        try:
            return await self._answer(server, path, body, Answer(limit), under, first)
        except EndpointError as error:
            if not str(error).startswith(server.url):
                error.args = (f"{server.url}: {error}",)
            raise redacted(error, self._key) from None
        except (aiohttp.ClientError, OSError) as error:
            raise EndpointError(without(self._key, f"{server.url} {broken(error)}")) from error
        finally:
            server.under.discard(under)

    async def _answer(
        self, server: Server, path: str, body: bytes, answer: Answer, under: Under, first: Callable[[Answer], None]
    ) -> Answer:
        response = await self._post(server, path, body)
        async with response:
            if response.status != 200 or not response.content_type == STREAM:
                raise await refusal(server, response)
            require_plain(server, response)
            read, feed = response.content.readany, answer.feed
            while not answer.done and (data := await read()):
                under.heard = server.heard = time.monotonic()
                feed(data)
                if not under.begun and answer.begun:
                    under.begun = True
                    first(answer)
            answer.close()
            server.under.discard(under)  # it is whole, so that nothing of it can stop
            await _let_end(server, response)
        return answer

    async def get(self, server: Server, url: str, post: bytes | None = None) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and the first bytes of what ``server`` says of itself at ``url``. Raises `EndpointError`."""
        method = "GET" if post is None else "POST"
        try:
            async with self._session.request(method, url, data=post, allow_redirects=False, timeout=_ASK) as response:
                if 300 <= response.status < 400 or response.status in {401, 403, 407}:
                    raise await refusal(server, response)
                require_plain(server, response)
                body = await _read(response, LARGEST_DOCUMENT)
                if self._key is not None:  # some repeat what they were sent
                    body = body.replace(self._key.encode(), b"***")
                return response.status, response.headers, body
        except EndpointError as error:
            raise redacted(error, self._key) from None
        except (aiohttp.ClientError, OSError) as error:
            told = without(self._key, f"{server.url} {broken(error)}")
            if isinstance(error, aiohttp.ClientConnectorCertificateError):  # which no waiting makes another one
                raise EndpointError(told) from error
            raise Unreachable(told) from error

    async def _post(self, server: Server, path: str, body: bytes) -> aiohttp.ClientResponse:
        """Tried again where a connection that was used before was closed under it, unanswered.

        A few times, as other idle connections were closed as well; one that cannot be made is not tried again.
        """
        url = server.api + path
        for _ in range(RETRIES):
            try:
                return await self._session.post(url, data=body, allow_redirects=False)
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError):
                server.retried += 1
        return await self._session.post(url, data=body, allow_redirects=False)


async def patiently(server: Server, ask: Callable[[], Awaitable[Answer]], patience_s: float) -> Answer:
    """What ``ask`` gives; again after the time for which a server that refuses asks to be left alone, as long as
    ``patience_s`` seconds hold all of it. Raises what ``ask`` raises.
    """
    until = time.monotonic() + patience_s
    while True:
        try:
            return await ask()
        except Refused as error:
            pause = max(error.wait_s or 0.0, AGAIN_S)
            resumed = time.monotonic() + pause
            if error.wait_s is None or resumed > until:
                raise
            server.heard = resumed  # until then its silence is what it asked for
            await asyncio.sleep(pause)


def broken(error: BaseException) -> str:
    """How a connection failed, after the server's address."""
    for kind, how in _BROKEN:
        if isinstance(error, kind):
            return how(error)
    return f"broke the connection: {type(error).__name__} {printable(str(error))}".rstrip()


_BROKEN: tuple[tuple[type[BaseException], Callable[[Any], str]], ...] = (
    (
        aiohttp.ClientConnectorCertificateError,
        lambda error: (
            f"has a certificate that nobody here vouches for ({printable(str(error.certificate_error))}); "
            "give its authority's certificate with --endpoint-ca-file"
        ),
    ),
    (aiohttp.ClientConnectorError, lambda error: f"cannot be reached: {printable(str(error.os_error))}"),
    (aiohttp.ClientPayloadError, lambda _: "closed the connection in the middle of an answer"),
    (aiohttp.ServerDisconnectedError, lambda _: "closed the connection without an answer"),
    (aiohttp.ClientResponseError, lambda error: f"does not speak HTTP as it should: {printable(error.message)}"),
    (aiohttp.http_exceptions.HttpProcessingError, lambda error: f"does not speak HTTP: {printable(error.message)}"),
    (TimeoutError, lambda _: "did not answer in time"),
)
"""From the special to the general."""


async def refusal(server: Server, response: aiohttp.ClientResponse) -> EndpointError:
    """What came in place of a stream."""
    status, kind = response.status, response.content_type
    said = error_text((await response.content.read(LARGEST_ERROR)).removeprefix(BOM))
    wait_s = asked_wait_s(status, response.headers.get("Retry-After"))
    if 300 <= status < 400:
        to = _host_in(response.headers.get("Location", ""))
        where = f" to {printable(to, 100)}" if to else ""
        return server.wrong(f"redirects{where} ({status}), which is not followed: give the address that answers itself")
    if status in {401, 403}:
        return Refused(f"{server.url} refuses the key, or wants one ({status}): {said}", status)
    if status == 407:
        return server.wrong("is behind a proxy that wants a password (407)")
    if status == 200 and kind == JSON:
        return server.wrong(f"gives its answer in one piece though a stream was asked for: {said}")
    asked = asks(wait_s)
    if status == 429:
        told = f"refused a request for its rate (429){asked or ', and does not say for how long'}: {said}"
    elif kind in {JSON, STREAM}:
        told = f"answered {status}{asked}: {said}"
    else:
        told = (
            f"answered {status} with {printable(kind, 60)}, which is not OpenAI's interface "
            f"(another program, or a proxy that answers in its place){asked}: {said}"
        )
    return Refused(f"{server.url} {told}", status, wait_s)


async def _let_end(server: Server, response: aiohttp.ClientResponse) -> None:
    """Have the body of a whole answer end, so that its connection can be used again; else that is closed.

    A server whose first answer did not end is not waited for any more: a client has its answer, and its time, at once.
    """
    if response.content.is_eof() or server.ends_bodies is False:
        return
    try:
        await asyncio.wait_for(_rest(response), END_S)
    except asyncio.TimeoutError:  # noqa: UP041 (another class than TimeoutError in Python 3.10)
        if server.ends_bodies is None:
            server.ends_bodies = False
        return
    except (aiohttp.ClientError, OSError):
        return  # the connection broke; nothing of the answer was still to come
    server.ends_bodies = True


async def _rest(response: aiohttp.ClientResponse) -> None:
    while await response.content.readany():
        pass


def require_plain(server: Server, response: aiohttp.ClientResponse) -> None:
    """Raise `EndpointError` for a body that was compressed although nobody asked for that."""
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding not in {"", "identity"}:
        raise server.wrong(
            f"sends its answer compressed ({printable(coding, 40)}) though it was asked not to: "
            "turn that off, there or in the proxy before it"
        )


def _host_in(location: str) -> str:
    """The host of an address that a server wrote; empty where it is no address."""
    try:
        return urlsplit(location).netloc
    except ValueError:
        return ""


def redacted(error: EndpointError, key: str | None) -> EndpointError:
    """The same error, without the key that a server may have repeated."""
    error.args = (without(key, str(error)),)
    return error


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """A body up to ``most`` bytes, without the mark that some lead their JSON with."""
    data = b""
    while len(data) < most and (more := await response.content.read(most - len(data))):
        data += more
    return data.removeprefix(BOM)


class Unreachable(EndpointError):
    """A server that does not answer at all, or not yet."""


class Refused(EndpointError):
    """A server that answered, with another status than 200; ``wait_s`` is how long it asks to be left alone."""

    def __init__(self, message: str, status: int, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.status, self.wait_s = status, wait_s
