"""Files by hash over HTTP(S) or from this machine, into a cache that processes share.

A file appears there by an atomic rename after its hash was checked, so that what exists is
right; a lock file keeps two processes from fetching it twice. A transient fault (a broken
connection, a server's 5xx) is tried again, with a line about it; a file that is gone or has
other bytes is not. What came of a file before a process ended lies under another name
(``.part``), and the next one goes on with it.
"""

from __future__ import annotations

import hashlib
import secrets
import urllib.parse
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from orchestrator.engines import BuildEvent
from orchestrator.errors import AssetError
from orchestrator.host.file_lock import locked
from orchestrator.host.files import WriteFailed, sha256_file, write_failure
from orchestrator.http.answer import LARGEST_DOWNLOAD, Partial
from orchestrator.http.client import Client, Request, split_credentials
from orchestrator.http.failures import HttpError
from orchestrator.packages.kept_part import KeptPart, kept_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchestrator.http.answer import Answer

_BLOCK = 1 << 18
_GONE = frozenset({403, 404, 410})
_LOCAL = "file://"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One file: its name, its hash (empty when unknown), its size in bytes (0 when unknown) and where it may be.

    ``urls`` are best first; ``headers`` are sent to each of them; ``gone`` are the answers that say that
    the file is not there.
    """

    name: str
    sha256: str
    size: int
    urls: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    gone: frozenset[int] = _GONE


class GoneError(AssetError):
    """Every address answered that it does not have the file."""

    slug = "gone"


def quarantine(root: Path, bad: Path, name: str) -> Path:
    """Move a file whose hash is wrong aside, under the hash that it has; give its new path."""
    folder = root / "quarantine"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{sha256_file(bad)[:16]}-{name}"
    bad.replace(path)
    return path


@contextmanager
def _part(path: Path, *, alone: bool) -> Iterator[KeptPart]:
    """What lies there while a file comes; who is not ``alone`` (there are no locks) has one that is kept for nobody."""
    if alone:
        with kept_part(path.with_suffix(".part")) as part:
            yield part
        return
    with kept_part(path.with_name(f"{path.name}-{secrets.token_hex(4)}.part")) as part, part.dropped_on_failure():
        yield part


def ignore(_event: BuildEvent) -> None:
    """Nobody listens."""


def download_path(root: Path, sha256: str) -> Path:
    """Where a file with this hash lies in the download cache below ``root`` once it is there."""
    return root / "downloads" / sha256[:2] / sha256


class Downloads:
    """The download cache below ``root``; safe for threads and processes."""

    def __init__(self, root: Path, client: Client, on_event: Callable[[BuildEvent], None] = ignore) -> None:
        self.root = root
        self.client = client
        self._on_event = on_event

    def path(self, sha256: str) -> Path:
        """Where a file with this hash lies once it is there."""
        return download_path(self.root, sha256)

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
        with locked(path.with_suffix(".lock"), needed=False) as alone:
            if path.is_file():
                if sha256_file(path) == wanted.sha256:
                    return path
                quarantine(self.root, path, wanted.name)
            self._event("start", wanted.name, total=wanted.size)
            with _part(path, alone=alone) as part:
                self._download(wanted, part)
                part.publish(path)
            self._event("done", wanted.name, total=wanted.size)
        return path

    def get_lazily(self, sha256: str, wanted: Callable[[], Wanted]) -> Path:
        """As `get`; ``wanted``, which may have to ask a server, is called only where the file is not here yet."""
        if self.has(sha256):
            return self.get(Wanted(name=sha256, sha256=sha256, size=0, urls=()))
        return self.get(wanted())

    def get_unpinned(self, wanted: Wanted, check: Callable[[Path], None]) -> tuple[Path, str, int]:
        """A file that nobody has hashed, as it comes: where it lies, the sha256 and the size that it has.

        ``check`` gets it before it counts, and raises where it is not what is known of it. Raises as `get`.
        """
        label = hashlib.sha256(" ".join(wanted.urls).encode()).hexdigest()
        pending = self.root / "downloads" / "unpinned" / label
        with locked(pending.with_suffix(".lock"), needed=False) as alone:
            self._event("start", wanted.name, total=wanted.size)
            with _part(pending, alone=alone) as part:
                self._receive(wanted, part)
                with part.dropped_on_failure():
                    part.out.flush()
                    check(part.path)
                place = self.path(part.sha256)
                part.publish(place)
            self._event("done", wanted.name, total=part.count)
        return place, part.sha256, part.count

    def _download(self, wanted: Wanted, part: KeptPart) -> None:
        if part.sha256 != wanted.sha256:  # else an earlier process had it all, and was killed right then
            self._receive(wanted, part)
        if part.sha256 != wanted.sha256 and part.resumed:  # what lay there may have been damaged: once more, whole
            part.resumed = False
            part.restart()
            self._receive(wanted, part)
        if part.sha256 != wanted.sha256:
            part.out.flush()
            aside = quarantine(self.root, part.path, wanted.name)
            part.drop()
            raise AssetError(
                f"{wanted.name} has sha256 {part.sha256}, expected {wanted.sha256}; it is kept at {aside}",
                hint="the source has changed or was tampered with; nothing was cached",
                slug="hash-mismatch",
            )

    def _receive(self, wanted: Wanted, part: KeptPart) -> None:
        part.limit = wanted.size or LARGEST_DOWNLOAD
        part.on_progress = lambda count: self._on_event(
            BuildEvent(kind="progress", step=wanted.name, current=count, total=wanted.size)
        )
        try:
            self._patiently(wanted.name, lambda: self._from_any(wanted, part))
        except HttpError as error:
            raise _failed(wanted.name, error) from error
        except WriteFailed:
            raise
        except OSError as error:
            part.drop()  # on a full disk it would only keep it full
            raise write_failure(part.path, error) from error

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
                found = self._from_one(wanted, url, part)
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

    def _from_one(self, wanted: Wanted, url: str, part: Partial) -> bool:
        """Whether the file is there; it is in ``part`` then."""
        if url.startswith(_LOCAL):
            return _copy_local(_local_path(url), part)
        if not url.startswith(("http://", "https://")):
            raise AssetError("cannot fetch what is not an http, https or file address", slug="bad-url")
        try:
            self.client.receive(url, part, wanted.headers)
        except HttpError as error:
            if error.status in wanted.gone:
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
