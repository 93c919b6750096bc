"""The log of a container that may outlive a test: each test's folder gets what it printed until the test's end."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

MOST_LINES = 1000
"""That a container prints between two tests and that are kept."""


class MovingLog:
    """A text stream to a file that is new; written from one thread, moved from another."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError`."""
        self._lock = threading.Lock()
        self._file: TextIO = path.open("x+", encoding="utf-8")
        self._away = False
        self._between: deque[str] = deque(maxlen=MOST_LINES)

    def write(self, text: str) -> int:
        with self._lock:
            if self._away:
                self._between.append(text)
            else:
                self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with self._lock:
            if not self._away:
                self._file.flush()

    def leave(self) -> None:
        """The test is over, and its files do not change any more."""
        with self._lock:
            if not self._file.closed:
                self._file.flush()
            self._away = True

    def go_on(self, path: Path) -> None:
        """In the folder of the next test, after what was printed before. Raises `OSError`."""
        with self._lock:
            if self._file.closed:  # the container has ended
                return
            # Read by the file that is open: whatever lies at its path now may be another program's.
            self._file.seek(0)
            before, old = self._file.read(), self._file
            self._file = path.open("x+", encoding="utf-8")
            old.close()
            self._file.write(before + "".join(self._between))
            self._file.flush()
            self._between.clear()
            self._away = False

    def close(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._file.close()
