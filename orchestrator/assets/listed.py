"""Files that a server says it has: what it says of each, and whether the bytes that came are those."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import AssetError
from orchestrator.facts.neutral import neutral

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.http.answer import Answer
    from orchestrator.http.client import Client, Request

MOST_LISTED = 200_000
"""Files of one source; more is no model and no data set, but a server that never ends."""
_BLOCK = 1 << 20
_LONGEST = 1000
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]|(?:^|/)\.{0,2}(?:/|\Z)|^-")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A file of a source; what is not known is empty, its size 0. ``blob`` is the id that git gives its bytes."""

    path: str
    size: int = 0
    sha256: str = ""
    md5: str = ""
    blob: str = ""

    def check(self, found: Path) -> None:
        """Whether these are the bytes that the server spoke of, by whatever it said of them.

        Raises:
            AssetError: `hash-mismatch`.
        """
        size = found.stat().st_size
        if self.size and size != self.size:
            raise _other(self.path, f"{size:,} bytes", f"{self.size:,}")
        wanted = {"sha256": (self.sha256, b""), "md5": (self.md5, b""), "sha1": (self.blob, b"blob %d\0" % size)}
        for algorithm, (expected, prefix) in wanted.items():
            if expected and (digest := _digest(found, algorithm, prefix)) != expected:
                raise _other(self.path, f"{algorithm} {digest}", expected)


def ask(client: Client, request: Request, expect: tuple[int, ...] = (200,)) -> Answer:
    """The answer with its body, tried again after passing trouble. Raises `HttpError`, also for other statuses."""

    def once() -> Answer:
        with client.send(request) as answer:
            if answer.status not in expect:
                raise answer.failure()
            answer.content  # noqa: B018 (a body that breaks off is tried again too)
            return answer

    return client.patiently(once)


def require_safe(path: str, server: str) -> str:
    """The name of a file as a server gave it. Raises `AssetError` [unsafe-name] where it leads elsewhere."""
    if len(path) > _LONGEST or _UNSAFE.search(path) or neutral(path) != path:
        raise AssetError(
            f"{server} lists a file `{neutral(path[:120])}`, a name that leads elsewhere or is no plain text",
            hint="nothing was fetched; tell whoever keeps that source",
            slug="unsafe-name",
        )
    return path


def _digest(path: Path, algorithm: str, prefix: bytes) -> str:
    digest = hashlib.new(algorithm, prefix, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _other(name: str, found: str, expected: str) -> AssetError:
    return AssetError(
        f"{name} has {found} where its source says {expected}",
        hint="the download was damaged or tampered with; nothing was cached, run it again",
        slug="hash-mismatch",
    )
