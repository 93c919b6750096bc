"""Other clocks compared with this host's: a time server's by NTP, a power server's by its own protocol. None is set."""

from __future__ import annotations

import math
import socket
import struct
import time

from orchestrator.errors import StepFailed
from orchestrator.facts.neutral import one_line
from orchestrator.facts.power import Clock

TIMEOUT_S = 10.0
CLIENT, SERVER = "mlcommons/power client v3", "mlcommons/power server v"
"""How MLCommons' power client and server greet each other."""
PACKET = 48
"""Bytes of an answer of NTP without extensions."""
_SINCE_1900 = 2_208_988_800
_ASK = bytes([0x23]) + bytes(PACKET - 1)
_LONGEST_LINE = 1000
_SLUG = "power-server"


def ntp_clock(host: str, port: int, address: str) -> Clock:
    """How far a time server is ahead, by one question. Raises `StepFailed` [power-server] where it does not answer."""
    began = time.time()
    answer = ask_ntp(host, port, _ASK)
    if not answer:
        raise StepFailed(
            f"the time server {address} does not answer",
            hint="the power client compares the clocks with it: name another one, --power server=HOST,ntp=HOST",
            slug=_SLUG,
        )
    ahead = offset(answer, began, time.time())
    if ahead is None:
        raise StepFailed(
            f"what {address} answers is no time of NTP", hint="name a time server: --power server=HOST,ntp=HOST",
            slug=_SLUG,
        )  # fmt: skip
    return Clock(of=f"NTP {address}", ahead_s=ahead[0], delay_s=ahead[1])


def ask_ntp(host: str, port: int, question: bytes, timeout_s: float = 5.0) -> bytes:
    """The answer of a time server to a packet; empty where there is none in time."""
    try:
        for family, kind, _, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
            with socket.socket(family, kind) as asking:
                asking.settimeout(timeout_s)
                asking.connect(place)  # nobody else's packet is taken
                asking.send(question)
                return asking.recv(256)
    except OSError:
        pass
    return b""


def offset(answer: bytes, sent: float, received: float) -> tuple[float, float] | None:
    """Seconds that the server is ahead and that the way took, by RFC 5905; None where the answer is none.

    ``sent`` and ``received`` are this host's time of the question and of the answer.
    """
    if len(answer) < PACKET or answer[0] & 7 != 4:  # mode 4: a server's answer
        return None
    heard, told = (whole - _SINCE_1900 + part / 2**32 for whole, part in struct.iter_unpack("!II", answer[32:48]))
    if answer[1] in {0, 16} or told < 0:  # it is not set itself
        return None
    ahead, delay = ((heard - sent) + (told - received)) / 2, (received - sent) - (told - heard)
    return round(ahead, 6), round(max(0.0, delay), 6)


def power_server_clock(host: str, port: int, address: str) -> Clock:
    """How far a power server is ahead, by its own answer.

    Raises `StepFailed` [power-server] where there is none, or what answers is no power server.
    """
    hint = "`server.py -c server.conf` of mlcommons/power-dev has to run there, and take connections"
    try:
        with socket.create_connection((host, port), TIMEOUT_S) as connection:
            greeting = _reply(connection, CLIENT)
            if not greeting.startswith(SERVER):
                raise StepFailed(
                    f"{address} is no power server of MLCommons: it answered `{one_line(greeting)[:80]}`",
                    hint=hint,
                    slug=_SLUG,
                )
            began = time.time()
            said = _reply(connection, "time")
            ended = time.time()
    except OSError as error:
        why = error.strerror or str(error)
        raise StepFailed(f"the power server {address} does not answer: {why}", hint=hint, slug=_SLUG) from error
    told = _number(said)
    if told is None:
        message = f"the power server {address} answered a question for its time with `{one_line(said)[:80]}`"
        raise StepFailed(message, hint=hint, slug=_SLUG)
    return Clock(
        of=f"power server {address}",
        ahead_s=round(told - (began + ended) / 2, 6),
        delay_s=round(ended - began, 6),
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _reply(connection: socket.socket, command: str) -> str:
    """A line that answers a line, as far as it is one of reasonable length; raises TimeoutError where it drips in."""
    until = time.monotonic() + TIMEOUT_S
    connection.sendall(command.encode() + b"\r\n")
    read = b""
    while b"\n" not in read and len(read) < _LONGEST_LINE:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("its answer does not end")
        connection.settimeout(left)
        block = connection.recv(_LONGEST_LINE)
        if not block:
            break
        read += block
    return read.partition(b"\n")[0].decode(errors="replace").strip()
