"""Signals that end a program, turned into one exception; a second one ends it at once.

Standard library only and little of it: every command imports this.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SAME_S = 1.0
"""Seconds in which a second signal is the first one again: a terminal, make and a CI system may each send it."""
INTERRUPTED = 130
_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AT_ONCE = b"\nmlorch: ended at once; the next command removes what is left\n"


class _Handlers:
    """Whether the handlers are in place, and when the first signal came."""

    active = False
    first: float | None = None


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `KeyboardInterrupt`, as Ctrl-C does, so that what runs is ended in order.

    A second one, after `SAME_S`, ends this process at once with status 130, whatever it waits for: an engine that
    does not answer must hold nobody. Only the main thread may set handlers; elsewhere (the Python API in a thread)
    nothing changes, and neither does it where they are set already.
    """
    if _Handlers.active or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    # nohup ignores SIGHUP, and a shell's background job SIGINT: what was ignored stays so.
    ours = [number for number in _NUMBERS if before[number] is not signal.SIG_IGN]
    _Handlers.active, _Handlers.first = True, None
    for number in ours:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        _Handlers.active = False
        for number in ours:
            with contextlib.suppress(ValueError, TypeError):
                signal.signal(number, before[number])


def _stop(_number: int, _frame: object) -> None:
    now = time.monotonic()
    if _Handlers.first is None:
        _Handlers.first = now
        raise KeyboardInterrupt
    if now - _Handlers.first > SAME_S:
        with contextlib.suppress(OSError):
            os.write(2, _AT_ONCE)
        os._exit(INTERRUPTED)
