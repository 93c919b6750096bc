"""The container that holds a run's network namespace: it asks the servers whether they are there, until it is stopped.

Called with one argument, a JSON list of servers: ``name``, ``url``, ``every_s``, ``timeout_s``, ``misses``. Events on
standard output, one JSON object a line:
- ``holding``: the namespace is there;
- ``ready`` {name, seconds}: the server answered for the first time, so long after this process began;
- ``missed`` {name, why, row}: an answer did not come, the ``row``-th in a row;
- ``unhealthy`` {name, why}: too many in a row did not come; ``healthy`` {name}: one came after that.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from .lines import emit
from .retry_after import asked_wait_s

STARTING_S = 0.2
"""Seconds between two questions until the first answer."""
STARTING_TIMEOUT_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One server; times in seconds."""

    name: str
    url: str
    every_s: float
    timeout_s: float
    misses: int


def question(url: str, timeout_s: float) -> tuple[str, float]:
    """Ask once: why the answer is not 2xx, empty where it is; and how many seconds it asks to wait.

    No redirect is followed, no body read. The time is for the whole answer: a server that sends a byte now and then
    does not answer.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    cut = threading.Event()
    timer = threading.Timer(timeout_s, _cut, (connection, cut))
    timer.daemon = True
    timer.start()
    why, wait_s = "", 0.0
    try:
        connection.request("GET", parts.path or "/", headers={"Connection": "close"})
        answer = connection.getresponse()
        if not 200 <= answer.status < 300:
            why = f"it answered {answer.status}"
            wait_s = asked_wait_s(answer.status, answer.headers.get("Retry-After")) or 0.0
    except TimeoutError:
        cut.set()
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = f"{type(error).__name__}: {error}"[:200]
    finally:
        timer.cancel()
        connection.close()
    return (f"no answer within {timeout_s:g} s", 0.0) if cut.is_set() else (why, wait_s)


def _cut(connection: http.client.HTTPConnection, cut: threading.Event) -> None:
    cut.set()
    with contextlib.suppress(OSError, AttributeError):  # it was just closed
        connection.sock.shutdown(socket.SHUT_RDWR)


def watch(server: Asked, ended: threading.Event) -> None:
    """Ask one server until ``ended``. One that starts is left alone for as long as it asks; later every miss counts."""
    began = time.monotonic()
    while True:
        why, wait_s = question(server.url, STARTING_TIMEOUT_S)
        if not why:
            break
        if ended.wait(max(STARTING_S, wait_s)):
            return
    emit("ready", name=server.name, seconds=round(time.monotonic() - began, 3))
    row = 0
    while not ended.wait(server.every_s):
        why, _ = question(server.url, server.timeout_s)
        if not why:
            if row >= server.misses:
                emit("healthy", name=server.name)
            row = 0
            continue
        row += 1
        emit("missed", name=server.name, why=why, row=row)
        if row == server.misses:
            emit("unhealthy", name=server.name, why=why)


def main() -> int:
    """Until SIGTERM or SIGINT."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    servers = [Asked(**each) for each in json.loads(sys.argv[1])]
    emit("holding")
    for server in servers:
        threading.Thread(target=watch, args=(server, ended), name=server.name, daemon=True).start()
    while not ended.wait(3600):
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
