"""What the harness reports: one JSON object a line on standard output, and harness.json."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Progress = tuple[int, int | None, float | None]
    """done, total, seconds left"""

PROGRESS_SECONDS = 0.25
_lock = threading.Lock()


def emit(event: str, **values: object) -> None:
    """Write one line; a reader that is gone does not stop the test."""
    line = json.dumps({"event": event, **values}) + "\n"
    with _lock:
        try:
            sys.stdout.write(line)
            sys.stdout.flush()
        except OSError:
            return


def counted(number: int, word: str) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def phase(name: str) -> None:
    emit("phase", name=name)


def log(text: str) -> None:
    emit("log", text=text)


def write_json(path: Path, document: Mapping[str, object]) -> None:
    """Replace ``path`` atomically, so that a reader sees all of it or nothing."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        json.dump(document, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    written = Path(file.name)
    written.chmod(0o644)
    written.replace(path)


class ProgressLines:
    """Reports ``read()`` where it moved, at most four times a second, from a thread of its own between enter and exit.

    A test that stands still is silent: mlorch ends one that has printed nothing for too long.
    """

    def __init__(self, read: Callable[[], Progress]) -> None:
        self._read = read
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> ProgressLines:  # noqa: PYI034 (images with Python 3.10 have no Self)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        before, last = 0, time.monotonic()
        told: tuple[int, int | None] | None = None
        while not self._end.wait(PROGRESS_SECONDS):
            done, total, left = self._read()
            if (done, total) == told:
                continue
            now = time.monotonic()
            qps = round((done - before) / (now - last), 1)
            before, last, told = done, now, (done, total)
            emit("progress", done=done, total=total, qps=qps, left_s=None if left is None else round(left, 1))
