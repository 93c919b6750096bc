"""Files by hash over HTTP(S) or from this machine, into a cache that processes share.

A transient fault (a broken connection, a server's 5xx) is tried again and said so; a
file that is gone or has other bytes is not.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.engines import BuildEvent
from orchestrator.errors import AssetError
from orchestrator.host.files import sha256_file
from orchestrator.packages.cache import locked, quarantine, replacing
from orchestrator.packages.index import split_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO

    from tenacity import RetryCallState, Retrying

_BLOCK = 1 << 18
_TIMEOUT_S = 60.0
_ATTEMPTS = 5
_LARGEST_PAGE = 64 << 20
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One file: its name, its hash, its size in bytes (0 when unknown) and where it may be, best first."""

    name: str
    sha256: str
    size: int
    urls: tuple[str, ...]


class GoneError(AssetError):
    """Every place answered that it does not have the file."""

    slug = "gone"


def ignore(_event: BuildEvent) -> None:
    """Nobody listens."""


def trust(env: Mapping[str, str] | None = None) -> ssl.SSLContext:
    """The site's certificates: what the environment names, else the distribution's bundle on top of Python's."""
    env = os.environ if env is None else env
    context = ssl.create_default_context()
    named = [
        env[key] for key in ("MLORCH_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT") if env.get(key)
    ]
    for bundle in named or _BUNDLES:
        if Path(bundle).is_file():
            context.load_verify_locations(cafile=bundle)
    return context


def answers(url: str, timeout_s: float = 4.0) -> str:
    """Why nothing useful answers at `url`; empty where something does, be it to say that there is no such page."""
    try:
        with open_url(url, context=trust() if url.startswith("https:") else None, timeout_s=timeout_s):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"answers {error.code}" if error.code in {401, 403, 407} or error.code >= 500 else ""
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return "does not answer in time" if isinstance(reason, TimeoutError) else str(reason)


def open_url(
    url: str, *, accept: str = "*/*", context: ssl.SSLContext | None = None, timeout_s: float = _TIMEOUT_S
) -> IO[bytes]:
    """Open an http, https or file URL; proxies are those of the environment.

    Raises:
        AssetError: another scheme. Faults of the transport come as urllib raises them.
    """
    if not url.startswith(("http://", "https://", "file://")):
        raise AssetError("cannot fetch what is not an http, https or file address", slug="bad-url")
    plain, authorization = split_credentials(url)
    request = urllib.request.Request(plain)  # noqa: S310 (the scheme is checked above)
    request.add_header("User-Agent", f"mlorch/{__version__}")
    request.add_header("Accept", accept)
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    stream: IO[bytes] = urllib.request.urlopen(request, timeout=timeout_s, context=context)  # noqa: S310
    return stream


def transient(error: BaseException) -> bool:
    """Whether asking again may help: broken transport, too many requests, a server that is unwell."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in {408, 425, 429} or error.code >= 500
    if isinstance(error, urllib.error.URLError):
        return not isinstance(error.reason, (ssl.SSLCertVerificationError, FileNotFoundError))
    return isinstance(error, (ConnectionError, TimeoutError, http.client.HTTPException))


class Downloads:
    """The download cache below ``root``; safe for threads and processes."""

    def __init__(self, root: Path, on_event: Callable[[BuildEvent], None] = ignore, *, pause_s: float = 0.5) -> None:
        self.root = root
        self._on_event = on_event
        self._pause_s = pause_s
        self._context: ssl.SSLContext | None = None

    def path(self, sha256: str) -> Path:
        """Where a file with this hash lies once it is there."""
        return self.root / "downloads" / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether a file with this hash is in the cache."""
        return self.path(sha256).is_file()

    def get(self, wanted: Wanted) -> Path:
        """The file, from the cache or from the first place that has it; its bytes are checked either way.

        Raises:
            GoneError: no place has it.
            AssetError: other bytes (`hash-mismatch`; they are kept in ``quarantine/``) or a
                fault that did not go away (`download-failed`).
        """
        place = self.path(wanted.sha256)
        with locked(place.with_suffix(".lock")):
            if place.is_file():
                if sha256_file(place) == wanted.sha256:
                    return place
                quarantine(self.root, place, wanted.name)
            self._event("start", wanted.name, total=wanted.size)
            with replacing(place) as temporary:
                self._download(wanted, temporary)
                temporary.chmod(0o644)
            self._event("done", wanted.name, total=wanted.size)
        return place

    def _download(self, wanted: Wanted, temporary: Path) -> None:
        try:
            found = self._retrying(wanted.name)(self._from_any, wanted, temporary)
        except (OSError, http.client.HTTPException) as error:
            raise _failed(wanted.name, error) from error
        if found != wanted.sha256:
            aside = quarantine(self.root, temporary, wanted.name)
            temporary.touch()
            raise AssetError(
                f"{wanted.name} has sha256 {found}, expected {wanted.sha256}; it is kept at {aside}",
                hint="the source has changed or was tampered with; nothing was cached",
                slug="hash-mismatch",
            )

    def page(self, url: str, accept: str) -> tuple[bytes, str]:
        """A small page of an index and its media type; never cached.

        Raises:
            FileNotFoundError: the server does not have it.
            AssetError: `download-failed`.
        """

        def read() -> tuple[bytes, str]:
            with open_url(url, accept=accept, context=self._trust(url)) as stream:
                headers = getattr(stream, "headers", {})
                return stream.read(_LARGEST_PAGE), str(headers.get("Content-Type", ""))

        shown = split_credentials(url)[0]
        local = urllib.parse.urlsplit(url)
        if local.scheme == "file":
            folder = Path(urllib.parse.unquote(local.path))
            return (folder / "index.html" if folder.is_dir() else folder).read_bytes(), "text/html"
        try:
            return self._retrying(shown)(read)
        except (OSError, http.client.HTTPException) as error:
            if _is_gone(error):
                raise FileNotFoundError(shown) from error
            raise _failed(shown, error) from error

    def _retrying(self, name: str) -> Retrying:
        import tenacity

        def say(state: RetryCallState) -> None:
            fault = state.outcome.exception() if state.outcome else None
            wait = state.next_action.sleep if state.next_action else 0.0
            self._event("retry", name, f"{_said(fault)}; trying again in {wait:.1f} s")

        return tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=self._pause_s, max=10) + tenacity.wait_random(0, self._pause_s),
            retry=tenacity.retry_if_exception(transient),
            before_sleep=say,
            reraise=True,
        )

    def _trust(self, url: str) -> ssl.SSLContext | None:
        """The site's certificates where they are needed; reading them takes a moment."""
        if self._context is None and url.startswith("https://"):
            self._context = trust()
        return self._context

    def _from_any(self, wanted: Wanted, temporary: Path) -> str:
        """Fetch from the first place that answers; give the hash of what came."""
        last: OSError | http.client.HTTPException | None = None
        gone = 0
        for url in wanted.urls:
            try:
                return self._from_one(url, wanted, temporary)
            except (OSError, http.client.HTTPException) as error:
                gone += _is_gone(error)
                last = error if last is None or not _is_gone(error) else last
        if gone == len(wanted.urls) or last is None:
            raise GoneError(f"{wanted.name} is at none of its {len(wanted.urls)} places")
        raise last

    def _from_one(self, url: str, wanted: Wanted, temporary: Path) -> str:
        digest = hashlib.sha256()
        count = 0
        with open_url(url, context=self._trust(url)) as stream, temporary.open("wb") as out:
            while block := stream.read(_BLOCK):
                count += len(block)
                if wanted.size and count > wanted.size:
                    break
                digest.update(block)
                out.write(block)
        if wanted.size and count < wanted.size:
            raise ConnectionError(f"{count} of {wanted.size} bytes came")
        return digest.hexdigest()

    def _event(self, kind: str, step: str, text: str = "", total: int = 0) -> None:
        self._on_event(BuildEvent(kind=kind, step=step, text=text, total=total))


def _failed(name: str, error: BaseException) -> AssetError:
    return AssetError(
        f"cannot fetch {name}: {_said(error)}",
        hint="check the network, the proxy and the certificates (`mlorch doctor`), then run it again",
        slug="download-failed",
    )


def _is_gone(error: BaseException) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in {403, 404, 410}
    return isinstance(error, urllib.error.URLError) and isinstance(error.reason, FileNotFoundError)


def _said(error: BaseException | None) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return f"{type(error).__name__}: {error}" if error else "failed"


def pool_urls(roots: Sequence[str], path: str) -> tuple[str, ...]:
    """The addresses of a pool path under each archive root; `+` and `~` as mirrors expect them."""
    quoted = urllib.parse.quote(path, safe="/~")
    return tuple(f"{root}/{quoted}" for root in roots)
