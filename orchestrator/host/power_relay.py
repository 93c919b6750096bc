"""The way out of the power client's container: a socket in a folder that it shares with this process, and no network.

Each connection says in its first line what it is for: ``server`` is joined to the power server, ``ntp`` asks the time
server one question, ``workload`` asks for the test, and is answered when that is over. Nothing else is reached.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

from orchestrator.facts.power import SOCKET
from orchestrator.host.left_behind import give
from orchestrator.host.other_clocks import TIMEOUT_S, ask_ntp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

    from orchestrator.facts.power import PowerServer

_BLOCK = 1 << 16
_LONGEST_LINE = 1 << 20
_LARGEST_PACKET = 256
_SET_CLOCK = b"set_ntp"
_REFUSED = b"Error: mlorch compares clocks and has none set\r\n"


class Workload:
    """A request of the client for the test; it waits for the answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def answer(self, *, done: bool) -> None:
        """Say that the test is over, or that it failed; a client that is gone hears nothing."""
        with contextlib.suppress(OSError):
            self._connection.sendall(b"done\n" if done else b"failed\n")
        self._connection.close()


class PowerRelay:
    """Listens in ``folder`` for its container, whose user is ``user``; `close` ends every connection.

    ``on_workload`` and ``on_lost`` are called from threads: the client asks for the test; the server is gone, with why.
    """

    def __init__(
        self,
        folder: Path,
        user: str,
        server: PowerServer,
        on_workload: Callable[[Workload], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._server, self._on_workload, self._on_lost = server, on_workload, on_lost
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._listener = _listener(folder)
        give(folder / SOCKET, user)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End what is open, so that whoever waits in the container hears it."""
        with self._lock:
            self._closed = True
            still = [*self._open]
        for one in (self._listener, *still):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _keep(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
            closed = self._closed
        if closed:
            connection.close()

    def _serve(self, connection: socket.socket) -> None:
        self._keep(connection)
        with contextlib.suppress(OSError):
            reading = connection.makefile("rb")
            what = reading.readline(100)
            if what == b"workload\n":
                self._on_workload(Workload(connection))
                return
            if what == b"ntp\n":
                question = reading.read(_LARGEST_PACKET)
                connection.sendall(ask_ntp(self._server.ntp_host, self._server.ntp_port, question))
            elif what == b"server\n":
                self._join(connection, reading)
        with contextlib.suppress(OSError):
            connection.close()

    def _join(self, client: socket.socket, reading: BinaryIO) -> None:
        """Both ways between the client and its server, until one of them ends."""
        try:
            server = socket.create_connection((self._server.host, self._server.port), TIMEOUT_S)
        except OSError as error:
            self._on_lost(f"does not answer: {error.strerror or error}")
            return
        with server:
            server.settimeout(None)
            _keep_alive(server)
            self._keep(server)
            left = threading.Event()
            threading.Thread(target=self._back, args=(server, client, left), daemon=True).start()
            with contextlib.suppress(OSError):
                while line := reading.readline(_LONGEST_LINE):
                    if line.strip() == _SET_CLOCK:  # the client asks for it where the clocks do not agree
                        client.sendall(_REFUSED)
                    else:
                        server.sendall(line)
            left.set()
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)

    def _back(self, server: socket.socket, client: socket.socket, left: threading.Event) -> None:
        why = "closed the connection"
        try:
            while block := server.recv(_BLOCK):
                client.sendall(block)
        except OSError as error:
            why = f"is gone: {error.strerror or error}"
        if not self._closed and not left.is_set():
            self._on_lost(why)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


def _listener(folder: Path) -> socket.socket:
    """A listening socket in a folder; its address may be longer than the kernel takes, so it goes by the descriptor."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{held}/{SOCKET}")
    except OSError:
        listener.close()
        raise
    finally:
        os.close(held)
    os.chmod(folder / SOCKET, 0o600)  # noqa: PTH101
    listener.listen(8)
    return listener


def _keep_alive(connection: socket.socket) -> None:
    """A server that vanishes is noticed within half a minute: nothing is said while the test runs."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 5)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
