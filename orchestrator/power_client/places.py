"""What the container of the power client and mlorch agree on; `orchestrator.facts.power` says the same of the host."""

from __future__ import annotations

import socket

FOLDER = "/power"
SOCKET = f"{FOLDER}/mlorch.sock"
LOADGEN = f"{FOLDER}/loadgen"
SESSION = f"{FOLDER}/session"


def asked(what: str) -> socket.socket:
    """A connection to mlorch, which is told what it is for: ``server``, ``ntp`` or ``workload``."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(SOCKET)
    connection.sendall(f"{what}\n".encode())
    return connection
