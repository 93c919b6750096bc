"""A download as far as it came: kept on disk beside a note of what it is, so that the next process goes on."""

from __future__ import annotations

import contextlib
import json
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.facts.strict_json import strict_json
from orchestrator.host.files import atomic_write_text
from orchestrator.http.answer import Partial
from orchestrator.http.client import split_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROGRESS_S = 10.0
"""Seconds between two words about a download that takes long."""


@dataclass(slots=True, kw_only=True)
class KeptPart(Partial):
    """A file as far as it came, on disk at ``path``; beside it stands what it is the beginning of."""

    path: Path
    resumed: bool = False
    """Whether it holds bytes of an earlier process."""
    on_progress: Callable[[int], None] = field(default=lambda _count: None, repr=False)
    """Told the bytes that are here, now and then."""
    _told: float = field(default_factory=time.monotonic, init=False, repr=False)

    def add(self, block: bytes) -> bool:
        """As `Partial.add`, and a word about it every few seconds."""
        now = time.monotonic()
        if now - self._told >= PROGRESS_S:
            self._told = now
            self.on_progress(self.count)
        return Partial.add(self, block)

    @property
    def note(self) -> Path:
        """The file that says where the part is from."""
        return self.path.with_suffix(".json")

    def on_begin(self, url: str, validator: str) -> None:
        """Noted before the first byte, so that a part is never taken for that of another file."""
        self.note.unlink(missing_ok=True)
        if url and validator:
            text = json.dumps({"url": split_credentials(url)[0], "validator": validator})
            atomic_write_text(self.note, text, overwrite=True)

    def publish(self, place: Path) -> None:
        """The whole file takes its place."""
        self.out.flush()
        os.fsync(self.out.fileno())
        self.path.chmod(0o644)
        place.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(place)
        self.drop()

    def drop(self) -> None:
        """Nothing is left of it."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    @contextmanager
    def dropped_on_failure(self) -> Iterator[None]:
        """Whatever is raised inside says that the file is a wrong one."""
        try:
            yield
        except BaseException:
            self.drop()
            raise


@contextmanager
def kept_part(path: Path) -> Iterator[KeptPart]:
    """The part of a download at ``path``, with what an earlier process left there; the caller has its lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+b") as out:
        part = KeptPart(out=out, path=path)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            noted = strict_json(part.note.read_text(encoding="utf-8"))
            part.resume(str(noted["url"]), str(noted["validator"]))
        part.resumed = part.count > 0
        if not part.resumed:
            part.restart()
        try:
            yield part
        finally:
            if not part.count:
                part.drop()
