"""What a client's processes say to each other, over a pair of sockets: a length of four bytes, then so many messages.

What is there is sent together, at the end of the loop's round in which it came: nothing waits for more.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any

import msgspec

from .fetching import Target  # noqa: TC001 (msgspec reads the annotations)

if TYPE_CHECKING:
    from collections.abc import Callable

ALIVE_S = 1.0
_LENGTH = struct.Struct("<I")


class Serve(msgspec.Struct, array_like=True, tag="serve"):
    """The first of all: which servers."""

    target: Target


class Ask(msgspec.Struct, array_like=True, tag="ask"):
    number: int
    at: int
    path: str
    body: bytes
    patience_s: float


class Abort(msgspec.Struct, array_like=True, tag="abort"):
    """Let go of all that is under way."""


class There(msgspec.Struct, array_like=True, tag="there"):
    """The process can be asked; said again every `ALIVE_S` seconds."""


class Began(msgspec.Struct, array_like=True, tag="began"):
    number: int
    at: int
    tokens: list[int] | None
    model: str | None


class Answered(msgspec.Struct, array_like=True, tag="answered"):
    number: int
    at: int
    tokens: list[int] | None
    text: str
    count: int


class Failed(msgspec.Struct, array_like=True, tag="failed"):
    """``of_server``: it is the server's fault, and not the client's own."""

    text: str
    of_server: bool


class Heard(msgspec.Struct, array_like=True, tag="heard"):
    at: int
    when: float


ToProcess = Serve | Ask | Abort
FromProcess = There | Began | Answered | Failed | Heard


class Channel(asyncio.Protocol):
    """One end of a pair of sockets, in the loop's thread."""

    def __init__(self, kind: Any, received: Callable[[Any], None], ended: Callable[[], None]) -> None:
        """``kind`` is what the other end sends; ``ended`` is called once, when it is gone."""
        self._decoder = msgspec.msgpack.Decoder(list[kind])
        self._encoder = msgspec.msgpack.Encoder()
        self._received, self._ended = received, ended
        self._rest = bytearray()
        self._waiting: list[object] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a stream
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the Protocol's)
        self._ended()

    def data_received(self, data: bytes) -> None:
        rest = self._rest
        rest += data
        while len(rest) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(rest)[0]
            if len(rest) < end:
                return
            messages = self._decoder.decode(bytes(rest[_LENGTH.size : end]))
            del rest[:end]
            for message in messages:
                self._received(message)

    def send(self, message: object) -> None:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(message)

    def _flush(self) -> None:
        messages, self._waiting = self._waiting, []
        if self._transport is None or self._transport.is_closing():
            return  # nobody is there any more
        data = self._encoder.encode(messages)
        self._transport.write(_LENGTH.pack(len(data)) + data)

    def close(self) -> None:
        """What was sent before still goes out."""
        if self._transport is None:
            return
        if self._waiting:
            self._flush()
        self._transport.close()
