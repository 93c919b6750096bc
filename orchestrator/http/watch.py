"""No part of an answer without an end: a head, a chunk's size or a trailer that trickles is cut off.

The libraries below limit how long a server may be silent, not how long it may go on: a header of one byte a
second never times out. Here a thread looks at the clock while an answer is read, and ends its connection.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    import requests

_BOTH_WAYS = 2
"""`socket.SHUT_RDWR`."""
PATIENCE = 2
"""How many times the longest silence one part of an answer may take."""


class Watch:
    """Ends a connection by ``end`` when a part of an answer was waited for so long: at most half as long again."""

    def __init__(self, seconds: float, end: Callable[[], object]) -> None:
        self.fired = False
        self._seconds, self._end = seconds, end
        self._last = time.monotonic()
        self._over = threading.Event()

    def waits(self) -> None:
        """The next part of the answer is waited for from now on."""
        self._last = time.monotonic()

    def rests(self) -> None:
        """A part is there; how long others take over it is not the server's fault."""
        self._last = math.inf

    def require_in_time(self) -> None:
        """Raise `TimeoutError` where the connection was ended."""
        if self.fired:
            raise TimeoutError("timed out") from None

    @contextmanager
    def running(self) -> Iterator[Watch]:
        thread = threading.Thread(target=self._look, name="http-watch", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()

    def _look(self) -> None:
        while not self._over.wait(self._seconds / 2):
            if time.monotonic() - self._last >= self._seconds:
                self.fired = True
                with contextlib.suppress(OSError):  # it is gone already
                    self._end()
                return


def watch_body(response: requests.Response, seconds: float) -> Watch:
    """A watch over the body of an answer: each block of it has ``PATIENCE`` times ``seconds``."""
    return Watch(PATIENCE * seconds, getattr(response.raw, "end_reading", response.close))


def timed_pools() -> dict[str, Any]:
    """Connection pools by scheme whose connections give a greeting, and the head of an answer, only so much time."""
    import urllib3
    from urllib3.connection import HTTPConnection, HTTPSConnection

    return {
        "http": type("TimedPool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": _timed(HTTPConnection)}),
        "https": type("TimedSecurePool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": _timed(HTTPSConnection)}),
    }


def _timed(kind: Any) -> Any:
    """A class of connections with a watch over what a proxy answers to CONNECT, over TLS's greeting, and over heads."""

    class Timed(kind):  # type: ignore[misc]  # one of two
        def _new_conn(self) -> Any:
            sock = super()._new_conn()
            self._greeting.waits()  # each address of the server has had its own time to connect
            return sock

        def connect(self) -> None:
            self._greeting = Watch(PATIENCE * self.timeout, lambda: _end(self.sock))
            self._greeting.rests()
            self._in_time(self._greeting, super().connect)

        def getresponse(self) -> Any:
            sock = self.sock
            # The connection has the time for reading by now, and its socket still that for connecting.
            watch = Watch(PATIENCE * self.timeout, lambda: _end(sock))
            response = self._in_time(watch, super().getresponse)
            response.end_reading = lambda: _end(sock)
            return response

        def _in_time(self, watch: Watch, work: Callable[[], Any]) -> Any:
            try:
                with watch.running():
                    found = work()
            except Exception:
                watch.require_in_time()
                raise
            watch.require_in_time()  # what was cut off may look whole
            return found

    return Timed


def _end(sock: Any) -> None:
    """Wake up whoever reads from a socket; TLS within TLS has none of its own and holds that of the outer one."""
    if sock is not None:
        getattr(sock, "socket", sock).shutdown(_BOTH_WAYS)
