"""What a server answered, read in pieces and counted; and a file that comes in several attempts."""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestrator.http.failures import HttpError, library_failures, passing_status, slow
from orchestrator.http.watch import PATIENCE, watch_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO, Any, Self

    import requests

    from orchestrator.http.failures import Limits
    from orchestrator.http.watch import Watch

LARGEST_BODY = 64 << 20
"""Bytes of the largest body that is read into memory."""
LARGEST_REASON = 1 << 16
"""Of a body that only says why something is refused."""
LARGEST_DOWNLOAD = 1 << 40
LONGEST_BODY_S = 900.0
"""For what is read into memory."""
LEAST_RATE = 1 << 10
"""Bytes a second below which a server counts as silent."""
_BLOCK = 1 << 18


class Answer:
    """What a server answered. Close it, read it whole, or use it in a `with`."""

    def __init__(self, response: requests.Response, limits: Limits) -> None:
        self._response = response
        self._limits = limits
        self._content: bytes | None = None
        self.url = response.url
        self.status = response.status_code
        self.reason = str(response.reason or "")
        self.asked = str(response.request.method or "GET")
        self.headers: Mapping[str, str] = response.headers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._response.close()

    @property
    def content(self) -> bytes:
        """The body whole. Raises `HttpError`, `http-size` for one above `LARGEST_BODY`."""
        if self._content is None:
            self._content = b"".join(self.blocks(LARGEST_BODY))
        return self._content

    def beginning(self, limit: int = LARGEST_REASON) -> str:
        """What a failure's body says, as text: its start, and as much of that as comes."""
        if self._content is None:
            found = b""
            with contextlib.suppress(HttpError):
                for block in self.blocks():
                    found += block
                    if len(found) >= limit:
                        break
            self._content = found[:limit]
        return self.text

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", errors="replace")

    def blocks(self, limit: int | None = None, *, raw: bool = False) -> Iterator[bytes]:
        """The body as it comes; ``raw`` leaves it compressed where the server compressed it unasked.

        Raises:
            HttpError: it breaks off, trickles, or is larger than `limit` bytes.
        """
        host = urlsplit(self.url).netloc
        began, count = time.monotonic(), 0
        longest = LONGEST_BODY_S if limit is not None and limit <= LARGEST_BODY else None
        with self, self._watched(host) as watch:
            # read1 gives what is there: read, and with it iter_content, would wait for a whole block from a trickle.
            while block := self._response.raw.read1(_BLOCK, decode_content=not raw):
                watch.rests()
                count += len(block)
                took = time.monotonic() - began
                if took > self._limits.idle_s and count < took * LEAST_RATE:
                    raise slow(host, took)
                if longest is not None and took > longest:
                    raise slow(host, took)
                if limit is not None and count > limit:
                    raise HttpError(host, f"it sends more than {limit} bytes", slug="http-size")
                yield block
                watch.waits()

    @contextmanager
    def _watched(self, host: str) -> Iterator[Watch]:
        """While the body is read: what the libraries raise is ours, and a part of it that has no end gets one."""
        watch = watch_body(self._response, self._limits.idle_s)
        try:
            with library_failures(host, self._limits), watch.running():
                yield watch
        except HttpError:
            if watch.fired:
                raise slow(host, PATIENCE * self._limits.idle_s) from None
            raise
        if watch.fired:
            raise slow(host, PATIENCE * self._limits.idle_s)

    def failure(self, *, passing: bool = False) -> HttpError:
        """The error that this answer is; ``passing`` where it is one that passes though its status is not."""
        host, reason = urlsplit(self.url).netloc, f"the server answered {self.status} {self.reason}".strip()
        passing = passing or passing_status(self.status)
        return HttpError(host, reason, slug="http-status", passing=passing, answer=self)

    @property
    def retry_after(self) -> float:
        """Seconds that the server asks to wait; 0 where it does not say."""
        from urllib3.exceptions import InvalidHeader
        from urllib3.util import Retry

        try:
            return Retry().parse_retry_after(self.headers.get("Retry-After", ""))
        except (InvalidHeader, ValueError, OverflowError):  # anything may stand there
            return 0.0


@dataclass(slots=True, kw_only=True)
class Partial:
    """A file as far as it came, with its SHA-256; of one with more than ``limit`` bytes not much more is taken."""

    out: IO[bytes] = field(default_factory=io.BytesIO)
    limit: int = LARGEST_DOWNLOAD
    count: int = 0
    _digest: Any = field(default_factory=hashlib.sha256, repr=False)
    _url: str = field(default="", repr=False)
    _validator: str = field(default="", repr=False)

    @property
    def sha256(self) -> str:
        """Of what came so far."""
        return str(self._digest.hexdigest())

    def resume(self, url: str, validator: str) -> None:
        """Go on where an earlier process stopped: ``out`` holds the beginning of what ``url`` had, at ``validator``."""
        self.out.seek(0)
        self.count, self._digest = 0, hashlib.sha256()
        while block := self.out.read(_BLOCK):
            self._digest.update(block)
            self.count += len(block)
        self._url, self._validator = url, validator

    def restart(self, url: str = "", answer: Answer | None = None) -> None:
        """Forget what came; the next bytes are those of ``answer``, from their first."""
        self.out.seek(0)
        self.out.truncate()
        self.count, self._digest, self._url = 0, hashlib.sha256(), url
        tag = answer.headers.get("ETag", "") if answer is not None else ""
        date = answer.headers.get("Last-Modified", "") if answer is not None else ""
        self._validator = tag if tag and not tag.startswith("W/") else date
        self.on_begin(self._url, self._validator)

    def on_begin(self, url: str, validator: str) -> None:
        """Called before the first byte of an answer; `resume` takes the same two."""

    def add(self, block: bytes) -> bool:
        """Take more bytes; False where these are too many already."""
        self.out.write(block)
        self._digest.update(block)
        self.count += len(block)
        return self.count <= self.limit

    def range_of(self, url: str) -> dict[str, str]:
        """Headers that ask for the rest; none where nothing came, or where the file may be another one by now."""
        if not self.count or url != self._url or not self._validator:
            return {}
        return {"Range": f"bytes={self.count}-", "If-Range": self._validator}

    def fits(self, answer: Answer) -> bool:
        """Whether an answer goes on where this ends."""
        return answer.headers.get("Content-Range", "").startswith(f"bytes {self.count}-")
