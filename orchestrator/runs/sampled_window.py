"""The part of a test in which its harness measures, watched from outside by a thread of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from orchestrator.facts.runs import RunStep

EVERY_S = 1.0
BEGINS, ENDS = ("test", "accuracy"), "done"
"""Phases of the harness: docs/run-contract.md."""
_JOIN_S = 10.0


@dataclass(slots=True, kw_only=True)
class SampledWindow:
    """Opens once, with the harness's test (`event` hears of its phases), and closes with it or with the block.

    A meter says what it does then: `_at_begin`, `_sample_again` every so many seconds, `_at_end`, one of them at a
    time; `_look_around` whether the window is open or not.
    """

    step: RunStep
    every_s: float = EVERY_S
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _wake: threading.Event = field(default_factory=threading.Event)
    _open: bool = False
    _closed: bool = False
    _ending: bool = False
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._prepare():
            self._thread = threading.Thread(target=self._watch, name=type(self).__name__, daemon=True)
            self._thread.start()
        if self.step.external is not None:  # it does not say when it measures
            self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._ending = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)

    def event(self, event: Mapping[str, object]) -> None:
        """A phase of the harness begins."""
        if event.get("event") != "phase" or self.step.external is not None:
            return
        if event.get("name") in BEGINS:
            self._begin()
        elif event.get("name") == ENDS:
            self._end()
        else:
            self._wake.set()  # its container runs: time to look around

    # -- what a meter says --------------------------------------------------------------------

    def _prepare(self) -> bool:
        """Before the test; whether there is anything to watch."""
        return True

    def _at_begin(self) -> None:
        """The window opens."""

    def _at_end(self) -> None:
        """The window closes."""

    def _since_sample(self) -> float | None:
        """Seconds since the last sample; None where there is none."""
        return None

    def _sample_again(self) -> None:
        """The window is open for another while."""

    def _look_around(self) -> None:
        """Something may have changed beside the test."""

    # -- the window --------------------------------------------------------------------------

    def _begin(self) -> None:
        with self._lock:
            if not self._open and not self._closed:
                self._open = True
                self._at_begin()
        self._wake.set()

    def _end(self) -> None:
        with self._lock:
            if self._open:
                self._open, self._closed = False, True
                self._at_end()

    def _watch(self) -> None:
        while not self._ending:
            self._wake.wait(self.every_s)
            self._wake.clear()
            if self._ending:
                return
            self._look_around()
            with self._lock:
                since = self._since_sample()
                if self._open and (since is None or since >= self.every_s / 2):
                    self._sample_again()
