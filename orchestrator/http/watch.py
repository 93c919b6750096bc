"""No part of an answer without an end: a head, a chunk's size or a trailer that trickles is cut off.

The libraries below limit how long a server may be silent, not how long it may go on: a header of one byte a
second never times out. Here a thread looks at the clock while an answer is read, and ends its connection.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    import requests

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
    """Connection pools by scheme whose connections give the head of an answer only so much time."""
    import urllib3
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class Timed:
        sock: socket.socket
        timeout: float
        """Of reading, by now; the socket still has that of connecting."""

        def getresponse(self) -> Any:
            sock = self.sock
            end: Callable[[], object] = lambda: sock.shutdown(socket.SHUT_RDWR)  # noqa: E731 (twice the same)
            watch = Watch(PATIENCE * self.timeout, end)
            with watch.running():
                try:
                    response = super().getresponse()  # type: ignore[misc]  # of the connection that it is mixed into
                except Exception:
                    if watch.fired:
                        raise TimeoutError("timed out") from None
                    raise
            response.end_reading = end
            return response

    class TimedHttp(Timed, HTTPConnection):
        pass

    class TimedHttps(Timed, HTTPSConnection):
        pass

    class Http(urllib3.HTTPConnectionPool):
        ConnectionCls = TimedHttp

    class Https(urllib3.HTTPSConnectionPool):
        ConnectionCls = TimedHttps

    return {"http": Http, "https": Https}
