"""Files by hash over HTTP(S) or from this machine, into a cache that processes share.

A file appears there by an atomic rename after its hash was checked, so that what exists is
right; a lock file keeps two processes from fetching it twice. A transient fault (a broken
connection, a server's 5xx) is tried again, with a line about it; a file that is gone or has
other bytes is not.
"""

from __future__ import annotations

import os
import tempfile
import urllib.parse
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from orchestrator.engines import BuildEvent
from orchestrator.errors import AssetError
from orchestrator.host.file_lock import locked
from orchestrator.host.files import sha256_file
from orchestrator.http.answer import LARGEST_DOWNLOAD, Partial
from orchestrator.http.client import Client, Request, split_credentials
from orchestrator.http.failures import HttpError, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.http.answer import Answer

_BLOCK = 1 << 18
_GONE = frozenset({403, 404, 410})
_LOCAL = "file://"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One file: its name, its hash, its size in bytes (0 when unknown) and where it may be, best first."""

    name: str
    sha256: str
    size: int
    urls: tuple[str, ...]


class GoneError(AssetError):
    """Every address answered that it does not have the file."""

    slug = "gone"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place, on disk, when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def quarantine(root: Path, bad: Path, name: str) -> Path:
    """Move a file whose hash is wrong aside, under the hash that it has; give its new path."""
    folder = root / "quarantine"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{sha256_file(bad)[:16]}-{name}"
    bad.replace(path)
    return path


def ignore(_event: BuildEvent) -> None:
    """Nobody listens."""


def answers(url: str, timeout_s: float = 4.0, client: Client | None = None) -> str:
    """Why nothing useful answers at `url`; empty where something does, be it to say that there is no such page."""
    limits = Limits(connect_s=timeout_s, idle_s=timeout_s)
    try:
        with replace(client or Client(), limits=limits).send(Request(url=url)) as answer:
            status = answer.status
    except HttpError as error:
        return "does not answer in time" if error.slug == "http-slow" else error.reason
    return f"answers {status}" if status in {401, 403, 407} or status >= 500 else ""


class Downloads:
    """The download cache below ``root``; safe for threads and processes."""

    def __init__(self, root: Path, client: Client, on_event: Callable[[BuildEvent], None] = ignore) -> None:
        self.root = root
        self.client = client
        self._on_event = on_event

    def path(self, sha256: str) -> Path:
        """Where a file with this hash lies once it is there."""
        return self.root / "downloads" / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether a file with this hash is in the cache."""
        return self.path(sha256).is_file()

    def get(self, wanted: Wanted) -> Path:
        """The file, from the cache or from the first address that has it; its bytes are checked either way.

        Raises:
            GoneError: no address has it.
            AssetError: other bytes (`hash-mismatch`; they are kept in ``quarantine/``) or a
                fault that did not go away (`download-failed`).
        """
        path = self.path(wanted.sha256)
        with locked(path.with_suffix(".lock")):
            if path.is_file():
                if sha256_file(path) == wanted.sha256:
                    return path
                quarantine(self.root, path, wanted.name)
            self._event("start", wanted.name, total=wanted.size)
            with replacing(path) as temporary:
                self._download(wanted, temporary)
                temporary.chmod(0o644)
            self._event("done", wanted.name, total=wanted.size)
        return path

    def _download(self, wanted: Wanted, temporary: Path) -> None:
        with temporary.open("wb") as out:
            part = Partial(out=out, limit=wanted.size or LARGEST_DOWNLOAD)
            try:
                self._patiently(wanted.name, lambda: self._from_any(wanted, part))
            except HttpError as error:
                raise _failed(wanted.name, error) from error
        if part.sha256 != wanted.sha256:
            aside = quarantine(self.root, temporary, wanted.name)
            temporary.touch()
            raise AssetError(
                f"{wanted.name} has sha256 {part.sha256}, expected {wanted.sha256}; it is kept at {aside}",
                hint="the source has changed or was tampered with; nothing was cached",
                slug="hash-mismatch",
            )

    def page(self, url: str, accept: str) -> tuple[bytes, str]:
        """A small page of an index and its media type; never cached.

        Raises:
            FileNotFoundError: the server does not have it.
            AssetError: `download-failed`.
        """
        if url.startswith(_LOCAL):
            folder = _local_path(url)
            return (folder / "index.html" if folder.is_dir() else folder).read_bytes(), "text/html"
        shown = split_credentials(url)[0]

        def read() -> Answer:
            with self.client.send(Request(url=url, headers={"Accept": accept})) as answer:
                if answer.status != 200:
                    raise answer.failure()
                answer.content  # noqa: B018 (a body that breaks off is asked for again)
                return answer

        try:
            answer = self._patiently(shown, read)
        except HttpError as error:
            if error.status in _GONE:
                raise FileNotFoundError(shown) from error
            raise _failed(shown, error) from error
        return answer.content, answer.headers.get("Content-Type", "")

    def _patiently(self, name: str, work: Callable[[], T]) -> T:
        def on_retry(error: HttpError, wait_s: float) -> None:
            self._event("retry", name, f"{error.reason}; trying again in {wait_s:.1f} s")

        return self.client.patiently(work, on_retry)

    def _from_any(self, wanted: Wanted, part: Partial) -> None:
        """Fetch from the first address that has it; raises the last trouble of one that may have it."""
        last: HttpError | None = None
        for url in wanted.urls:
            try:
                found = self._from_one(url, part)
            except HttpError as error:
                last = error
                continue
            if found and part.count >= wanted.size:
                return
            if found:
                last = HttpError(wanted.name, f"{part.count} of {wanted.size} bytes came", passing=True)
        if last is None:
            raise GoneError(f"{wanted.name} is at none of its {len(wanted.urls)} addresses")
        raise last

    def _from_one(self, url: str, part: Partial) -> bool:
        """Whether the file is there; it is in ``part`` then."""
        if url.startswith(_LOCAL):
            return _copy_local(_local_path(url), part)
        if not url.startswith(("http://", "https://")):
            raise AssetError("cannot fetch what is not an http, https or file address", slug="bad-url")
        try:
            self.client.receive(url, part)
        except HttpError as error:
            if error.status in _GONE:
                return False
            raise
        return True

    def _event(self, kind: str, step: str, text: str = "", total: int = 0) -> None:
        self._on_event(BuildEvent(kind=kind, step=step, text=text, total=total))


def _failed(name: str, error: HttpError) -> AssetError:
    return AssetError(f"cannot fetch {name}: {error.reason}", hint=error.hint, slug="download-failed")


def _local_path(url: str) -> Path:
    return Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path))


def _copy_local(path: Path, part: Partial) -> bool:
    """Whether there is such a file, which is then copied. Raises `HttpError` for one that cannot be read."""
    part.restart()
    try:
        with path.open("rb") as stream:
            while (block := stream.read(_BLOCK)) and part.add(block):
                pass
    except FileNotFoundError:
        return False
    except OSError as error:
        raise HttpError(str(path), error.strerror or str(error)) from error
    return True


def pool_urls(roots: Sequence[str], path: str) -> tuple[str, ...]:
    """The addresses of a pool path under each archive root; `+` and `~` as mirrors expect them."""
    quoted = urllib.parse.quote(path, safe="/~")
    return tuple(f"{root}/{quoted}" for root in roots)
