"""MLCommons' power client in a container without a network.

What it says to its server, and to the time server that it compares the clock with, goes to this container's own
loopback device and from there through a socket to mlorch, which has the addresses. So the container reaches these two
and nothing else. The client looks the port of NTP up by its name: the image's `/etc/services` says `NTP_PORT`, as a
port below 1024 is not everybody's.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading

from .places import LOADGEN, SESSION, asked

CLIENT = "/opt/mlcommons-power/ptd_client_server/client.py"
HOST, PORT, NTP_PORT = "127.0.0.1", 4950, 11123
_BLOCK = 1 << 16
_LARGEST_PACKET = 256


def main() -> int:
    """The exit status is the client's."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for serve in (_serve_server, _serve_ntp):
        ready = threading.Event()
        threading.Thread(target=serve, args=(ready,), daemon=True).start()
        if not ready.wait(10):
            return 1
    command = [sys.executable, CLIENT, "--addr", HOST, "--port", str(PORT), "--ntp", HOST]
    command += ["--run-workload", f"{sys.executable} -m mlorch_power.workload"]
    command += ["--loadgen-logs", LOADGEN, "--output", SESSION, "--no-timestamp-path"]
    return subprocess.run(command, check=False).returncode  # noqa: S603 (no shell)


def _serve_server(ready: threading.Event) -> None:
    with socket.create_server((HOST, PORT)) as listener:
        ready.set()
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_join, args=(connection,), daemon=True).start()


def _join(connection: socket.socket) -> None:
    """Both ways between the client and mlorch, until one of them ends."""
    with connection, asked("server") as mlorch:
        back = threading.Thread(target=_pump, args=(mlorch, connection), daemon=True)
        back.start()
        _pump(connection, mlorch)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(_BLOCK):
            target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _serve_ntp(ready: threading.Event) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HOST, NTP_PORT))
        ready.set()
        while True:
            question, address = server.recvfrom(_LARGEST_PACKET)
            answer = _answer(question)
            if answer:
                server.sendto(answer, address)


def _answer(question: bytes) -> bytes:
    """What the time server answers; empty where it does not, which the client then says itself."""
    with contextlib.suppress(OSError), asked("ntp") as mlorch:
        mlorch.sendall(question)
        mlorch.shutdown(socket.SHUT_WR)
        return mlorch.makefile("rb").read(_LARGEST_PACKET)
    return b""


if __name__ == "__main__":
    sys.exit(main())
