"""A server that answers at once: ``python3 -m mlorch_harness.nullserver --port N``.

It speaks OpenAI's interface (streamed completions of any prompt, ``/v1/models``, ``/health``) and computes nothing:
each answer has as many tokens as were asked for, each an event in a chunk and a write of its own, so that a client
meets what it would meet at a real server. What a client reaches against it is the client's own ceiling. Several
processes share the port, for a client of several.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import socket
import sys

import uvloop

MODEL = "null"
TOKEN = 65
"""The number of every token: it means nothing."""
LARGEST = 2**22
"""Bytes of a request."""
_LIMIT = re.compile(rb'"max_tokens": ?(\d{1,6})')
_MODEL = re.compile(rb'"model": ?"([^"\\]{1,200})"')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,8})\r\n", re.IGNORECASE)
_STREAM = (
    b"HTTP/1.1 200 OK\r\nServer: mlorch-null\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Connection(asyncio.Protocol):
    """One client; requests come one after another."""

    def __init__(self) -> None:
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # of a stream

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while (end := received.find(b"\r\n\r\n")) >= 0:
            head = bytes(received[: end + 2])
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            if length > LARGEST:
                self._transport.close()
                return
            if len(received) < end + 4 + length:
                return
            body = bytes(received[end + 4 : end + 4 + length])
            del received[: end + 4 + length]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1] if head.count(b" ") >= 2 else b""
        if path == b"/v1/completions":
            self._complete(body)
        elif path == b"/v1/models":
            self._plain(b"200 OK", b'{"object":"list","data":[{"id":"%s","object":"model"}]}' % MODEL.encode())
        elif path == b"/health":
            self._plain(b"200 OK", b'{"status":"ok"}')
        else:
            self._plain(b"404 Not Found", b'{"error":{"message":"there is no such page"}}')

    def _plain(self, status: bytes, body: bytes) -> None:
        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        self._transport.write(head + body)

    def _complete(self, body: bytes) -> None:
        limit, model = _LIMIT.search(body), _MODEL.search(body)
        count = int(limit[1]) if limit else 16
        name = model[1] if model else MODEL.encode()
        event = chunk(
            b'data: {"id":"cmpl-0","object":"text_completion","created":1,"model":"%s","choices":'
            b'[{"index":0,"text":" a","logprobs":null,"finish_reason":null,"token_ids":[%d]}]}\n\n' % (name, TOKEN)
        )
        end = chunk(
            b'data: {"id":"cmpl-0","object":"text_completion","created":1,"model":"%s","choices":'
            b'[{"index":0,"text":"","logprobs":null,"finish_reason":"length"}],'
            b'"usage":{"completion_tokens":%d}}\n\ndata: [DONE]\n\n' % (name, count)
        )
        write = self._transport.write
        write(_STREAM)
        for _ in range(count):
            write(event)
        write(end + b"0\r\n\r\n")


def chunk(data: bytes) -> bytes:
    """``data`` as HTTP sends a piece of a body whose length is not known."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def listening(port: int, count: int) -> list[socket.socket]:
    """So many sockets of one port of the loopback device (0: any), among which the kernel spreads connections."""
    found: list[socket.socket] = []
    for _ in range(count):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", found[0].getsockname()[1] if found else port))
        found.append(one)
    return found


async def serve(listener: socket.socket, until: int | None) -> None:
    """Until SIGTERM, SIGINT, or the end of the file with the descriptor ``until``."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if until is not None:
        loop.add_reader(until, ended.set)
    server = await loop.create_server(Connection, sock=listener, backlog=4096)
    if until is None:
        sys.stdout.write(f"listening on port {listener.getsockname()[1]}\n")
        sys.stdout.flush()
    await ended.wait()
    server.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="of the loopback device; 0: any")
    parser.add_argument("--processes", type=int, default=1, help="that share the port")
    options = parser.parse_args()
    first, *others = listening(options.port, max(1, options.processes))
    watched, held = os.pipe()  # its end is the end of the process that holds the other side, however that comes
    for other in others:
        if os.fork() == 0:
            os.close(held)
            uvloop.run(serve(other, watched))
            return 0
    uvloop.run(serve(first, None))
    return 0


if __name__ == "__main__":
    sys.exit(main())
