"""Lanes of a device: each has one caller at a time, and the copies of one overlap with the work of another."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LANES = 4
"""Callers on a device at once: one computes, one copies in, one copies out, one is between. Each lane has memory of its
own there, so that as many as there are processors could fill a card."""


class Lane(Protocol):
    """A stream of the device, with buffers and recorded work for batches of certain sizes."""

    def ready(self, size: int) -> bool: ...

    def prepare(self, size: int) -> None: ...


L = TypeVar("L", bound=Lane)


class Lanes(Generic[L]):
    """Up to ``most`` lanes, made when callers meet; the one that was used last is taken first.

    What is prepared (a device records work) is prepared while nobody else uses the device: ONNX Runtime records with
    all threads forbidden to allocate or copy, and PyTorch knows one recording at a time.
    """

    def __init__(self, make: Callable[[], L], most: int = LANES) -> None:
        self._make, self._most = make, most
        self._free: list[L] = []
        self._made = 0
        self._alone = False
        self._change = threading.Condition()

    @contextmanager
    def one(self, size: int | None = None) -> Iterator[L]:
        """A lane that is ready for batches of ``size`` (None: of any); waits where all are used."""
        lane = self._take()
        while size is not None and not lane.ready(size):
            self._give(lane)
            self.prepare(size)
            lane = self._take()
        try:
            yield lane
        finally:
            self._give(lane)

    def prepare(self, size: int) -> bool:
        """Have every lane that was made ready for ``size``; whether any was not."""
        with self._change:
            self._change.wait_for(lambda: not self._alone)
            self._alone = True  # nobody takes a lane from here on
            self._change.wait_for(lambda: len(self._free) == self._made)
        try:
            missing = [lane for lane in self._free if not lane.ready(size)]
            for lane in missing:
                lane.prepare(size)
        finally:
            with self._change:
                self._alone = False
                self._change.notify_all()
        return bool(missing)

    def _take(self) -> L:
        with self._change:
            self._change.wait_for(lambda: not self._alone and (self._free or self._made < self._most))
            if self._free:
                return self._free.pop()
            self._made += 1
        try:
            return self._make()
        except BaseException:
            with self._change:
                self._made -= 1
                self._change.notify_all()
            raise

    def _give(self, lane: L) -> None:
        with self._change:
            self._free.append(lane)
            self._change.notify_all()


def recorded_size(size: int, tuned: int | None) -> int:
    """The size of a batch whose recorded work answers ``size`` samples: the one that the test uses, or a power of two.

    Server makes batches of every size; work is recorded for few, and warm-up runs the powers of two.
    """
    power = 1 << (size - 1).bit_length()
    return min(power, tuned) if tuned is not None and size <= tuned else power
