"""The files of a tree that are read: regular ones, of a bounded size, whose reason is told where they are not."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

from orchestrator.facts.strict_json import strict_json
from orchestrator.host.untrusted import FilesBelow, UnreadableFile
from orchestrator.submissions.detail_log import BLOCK, DetailLog, parse_detail
from orchestrator.submissions.facts import Document, Unread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

LARGEST_LOG = 1 << 30
"""Bytes of a detail log; files above 50 MB are refused anyway, and read to say what else is wrong."""
LARGEST_TEXT = 4 << 20
_PARTS = frozenset(("results", "measurements", "compliance"))
_MORE = 1 << 16
"""Bytes that are asked for of a file that grows while it is read."""


class Reader:
    """Reads files below the root of a tree; ``wanted`` are the keys of detail logs whose values are kept."""

    def __init__(self, root: Path, wanted: frozenset[bytes]) -> None:
        self.root = root
        self.wanted = wanted
        self._files: dict[str, FilesBelow] = {}
        """By what a submitter's folder holds, as its results, measurements and tests are read in turn."""

    def close(self) -> None:
        """Let go of the folders that are held open."""
        for files in self._files.values():
            files.close()

    def _below(self, path: str) -> FilesBelow:
        parts = path.split("/", 3)
        part = parts[2] if len(parts) > 3 and parts[2] in _PARTS else ""
        if part not in self._files:
            self._files[part] = FilesBelow(self.root)
        return self._files[part]

    def detail(self, path: str, wanted: frozenset[bytes] | None = None) -> DetailLog | Unread:
        """A detail log, in one pass; ``wanted`` are the keys of it, where not all are."""
        try:
            with self._below(path).opened(path, LARGEST_LOG) as stream:
                return parse_detail(_blocks(stream), self.wanted if wanted is None else wanted)
        except UnreadableFile as error:
            return Unread(error.reason, error.missing)

    def text(self, path: str, limit: int = LARGEST_TEXT) -> str | Unread:
        """A text of UTF-8."""
        try:
            return self._below(path).read_text(path, limit)
        except UnreadableFile as error:
            return Unread(error.reason, error.missing)

    def document(self, path: str) -> Document | Unread:
        """A JSON object. One with a key twice is taken as most readers take it, with the doubt."""
        text = self.text(path)
        if isinstance(text, Unread):
            return text
        doubt = ""
        try:
            document = strict_json(text)
        except ValueError as error:
            doubt = str(error)
            try:
                document = json.loads(text)
            except (ValueError, RecursionError):
                return Unread(f"is not JSON: {doubt}")
        if not isinstance(document, dict):
            return Unread("is not a JSON object")
        return Document(document, doubt)

    def sha1(self, path: str) -> str:
        """The sha1 of a file, which is what the power client writes; empty where it cannot be read."""
        digest = hashlib.sha1(usedforsecurity=False)
        try:
            with self._below(path).opened(path, LARGEST_LOG) as stream:
                for block in _blocks(stream):
                    digest.update(block)
        except UnreadableFile:
            return ""
        return digest.hexdigest()


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """A file in blocks, the last one as long as it is: to ask for much more than there is costs more than to read."""
    left = os.fstat(stream.fileno()).st_size
    while block := stream.read(min(BLOCK, left + 1) if left > 0 else _MORE):
        yield block
        left -= len(block)
