"""Other clocks: what they answer is read strictly, and none is set."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

import pytest

from orchestrator.errors import StepFailed
from orchestrator.host import other_clocks
from orchestrator.host.other_clocks import ntp_clock, offset, power_server_clock

pytestmark = pytest.mark.sockets
SINCE_1900 = 2_208_988_800


def answer(heard: float, told: float, *, mode: int = 4, stratum: int = 2) -> bytes:
    stamps = b"".join(struct.pack("!II", int(t) + SINCE_1900, int((t - int(t)) * 2**32)) for t in (heard, told))
    return bytes([0x20 | mode, stratum]) + bytes(30) + stamps


def test_a_server_that_is_ahead_is_found_ahead_whatever_the_way_took():
    ahead, delay = offset(answer(1_000_000_003.1, 1_000_000_003.2), sent=1_000_000_000.0, received=1_000_000_000.3)
    assert ahead == pytest.approx(3.0, abs=1e-5)
    assert delay == pytest.approx(0.2, abs=1e-5)


@pytest.mark.parametrize(
    "data",
    [b"", b"garbage", answer(1e9, 1e9, mode=3), answer(1e9, 1e9, stratum=0), answer(1e9, 1e9, stratum=16)],
    ids=["nothing", "garbage", "a question", "a refusal", "not set itself"],
)
def test_what_is_no_answer_is_no_time(data):
    assert offset(data, sent=1e9, received=1e9) is None


@pytest.fixture
def serve():
    """A server of lines whose answers are given."""
    listening = []

    def start(*answers: bytes) -> tuple[str, int, str]:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def run():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                for each in answers:
                    connection.recv(1000)
                    connection.sendall(each() if callable(each) else each)
                connection.recv(1000)

        threading.Thread(target=run, daemon=True).start()
        host, port = server.getsockname()
        return host, port, f"{host}:{port}"

    yield start
    for each in listening:
        each.close()


def in_seven_seconds() -> bytes:
    return f"{time.time() + 7.0}\r\n".encode()


def test_a_power_servers_clock_is_read_by_its_own_protocol(serve):
    clock = power_server_clock(*serve(b"mlcommons/power server v3\r\n", in_seven_seconds))
    assert clock.ahead_s == pytest.approx(7.0, abs=0.3)
    assert not clock.agrees


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n",), "no power server"),
        ((b"\x1b[31m\x00" * 400,), "no power server"),
        ((b"mlcommons/power server v3\r\n", b"half past nine\r\n"), "half past nine"),
        ((b"mlcommons/power server v3\r\n", b"nan\r\n"), "nan"),
    ],
)
def test_a_server_that_answers_something_else_is_refused_in_harmless_words(serve, answers, words):
    with pytest.raises(StepFailed, match=words) as caught:
        power_server_clock(*serve(*answers))
    assert caught.value.slug == "power-server"
    assert caught.value.message.isprintable()


def test_a_server_that_answers_a_character_at_a_time_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(other_clocks, "TIMEOUT_S", 0.5)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                while not over.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        began = time.monotonic()
        with pytest.raises(StepFailed, match="power server here:1 does not answer"):
            power_server_clock(*server.getsockname(), "here:1")
        assert time.monotonic() - began < 5, "each character came in time, and there may be a thousand"
        over.set()
        thread.join()


def test_a_server_that_is_not_there_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(StepFailed, match="here:1 does not answer") as caught:
        power_server_clock("127.0.0.1", port, "here:1")
    assert caught.value.slug == "power-server"
    with pytest.raises(StepFailed, match="time server there:2 does not answer"):
        ntp_clock("127.0.0.1", port, "there:2")
