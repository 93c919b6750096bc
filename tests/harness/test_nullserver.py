"""The server that computes nothing, as clients meet it that send what nobody should."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("uvloop")

from orchestrator.harness.nullserver import LARGEST, Connection

NESTED = b"[" * 100_000 + b"]" * 100_000


class Written:
    """A connection's other end."""

    def __init__(self) -> None:
        self.data, self.closed = b"", False

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed = True


def asked(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + body


def met(*pieces: bytes) -> Written:
    connection, other = Connection(), Written()
    connection.connection_made(other)
    for piece in pieces:
        connection.data_received(piece)
    return other


@pytest.mark.parametrize("body", [b'{"max_tokens": 3, "prompt": %s}' % NESTED, b'{"x": %s, "max_tokens": 3}' % NESTED])
def test_a_request_nested_for_ever_is_answered_as_any_other_and_so_is_the_next(body):
    """It looks for two fields and reads no document: what is nested costs it nothing."""
    one, half = asked(body), len(body) // 2
    other = met(one[:half], one[half:] + asked(b'{"max_tokens": 2}'))
    assert not other.closed
    assert [len(re.findall(rb'"text":" a"', each)) for each in other.data.split(b"data: [DONE]")] == [3, 2, 0]


def test_a_request_that_is_too_long_closes_the_connection():
    assert met(asked(b"", LARGEST + 1)).closed
