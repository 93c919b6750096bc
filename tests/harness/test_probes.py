"""The question whether a server is there, asked of servers that answer oddly."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from orchestrator.harness import probes
from orchestrator.harness.probes import Asked, question, watch

LATE = "no answer within 0.3 s"
ANSWERS = {
    "good": ([b"HTTP/1.1 200 OK\r\n\r\n"], ""),
    "another status": ([b"HTTP/1.1 503 Loading\r\n\r\n"], "it answered 503"),
    "a status a letter at a time": ([b"H", *[b"T"] * 40], LATE),
    "headers without end": ([b"HTTP/1.1 200 OK\r\n", *[b"x"] * 40], LATE),
    "wait, wait": ([b"HTTP/1.1 100 Continue\r\n\r\n"] * 40, LATE),
    "nothing": ([b""] * 40, LATE),
    "no HTTP": ([b"SSH-2.0-OpenSSH\r\n"], "BadStatusLine: SSH-2.0-OpenSSH\r\n"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_probe_has_its_answer_in_time_whatever_the_server_does(name):
    parts, expected = ANSWERS[name]
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                for part in parts:
                    try:
                        connection.sendall(part)
                    except OSError:
                        return
                    time.sleep(0.05 if len(parts) > 1 else 0)

        threading.Thread(target=serve, daemon=True).start()
        began = time.monotonic()
        assert question(f"http://127.0.0.1:{listening.getsockname()[1]}/health", 0.3) == (expected, 0.0)
        assert time.monotonic() - began < 1.5


def test_a_server_that_starts_is_left_alone_for_as_long_as_it_asks(monkeypatch):
    ended, told = threading.Event(), []
    monkeypatch.setattr(probes, "emit", lambda event, **_more: (told.append(event), ended.set()))
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answer in (b"HTTP/1.1 503 Loading\r\nRetry-After: 1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        began = time.monotonic()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/health"
        watch(Asked(name="server-0", url=url, every_s=1.0, timeout_s=1.0, misses=1), ended)
        assert time.monotonic() - began >= 1
    assert told == ["ready"]
