"""Stops a container that runs for too long, or prints nothing for too long."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.engines import Engine
    from orchestrator.facts.runs import TimeLimit

_LONGEST_WAIT_S = 3600.0
_AGAIN_S = 30.0
TIME, SILENCE = "time", "silence"
"""Why a container was stopped."""


class Stopper:
    """Stops a container, by its name, when its time is over, when it is silent, or when it is known to have failed."""

    def __init__(self, engine: Engine, name: str, limit: TimeLimit | None) -> None:
        self._engine = engine
        self._name = name
        self._limit = limit
        self._stopping = False
        self._ended = threading.Event()
        self._heard = time.monotonic()
        self.timed_out = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        if self._limit is None:
            yield
            return
        threading.Thread(target=self._look, args=(self._limit,), daemon=True).start()
        try:
            yield
        finally:
            self._ended.set()

    def heard(self) -> None:
        """The container printed something."""
        self._heard = time.monotonic()

    def stop(self) -> None:
        """Stop the container, once; whoever calls goes on reading what it prints meanwhile."""
        if not self._stopping:
            self._stopping = True
            threading.Thread(target=self._stop, daemon=True).start()

    def _look(self, limit: TimeLimit) -> None:
        self._heard = time.monotonic()
        until = self._heard + limit.total_s
        while True:
            silent = math.inf if limit.silence_s is None else self._heard + limit.silence_s
            left = min(until, silent) - time.monotonic()
            if left <= 0:
                self.timed_out = TIME if until <= silent else SILENCE
                self._stop()
                return
            if self._ended.wait(min(left, _LONGEST_WAIT_S)):
                return

    def _stop(self) -> None:
        """Stop it, again and again where the engine fails to: whoever follows the container hears of its end."""
        while True:
            with contextlib.suppress(MlorchError):
                self._engine.stop(self._name)
            if self._ended.wait(_AGAIN_S):
                return
