"""Little HTTP servers for tests of the client: each request is answered by a script of bytes, pauses and an end."""

from __future__ import annotations

import contextlib
import json
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

MODELS = {"object": "list", "data": [{"id": "small", "object": "model", "owned_by": "vllm"}]}
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: dict
    peer: tuple = ()
    """The address of the connection's other end."""


Part = bytes | threading.Event
"""Bytes to send, or an event to wait for."""


@dataclass
class Script:
    """What a server does: ``answer`` gives the parts of an answer to a completion; ``models`` None: no such page."""

    answer: Callable[[Asked], list[Part]]
    models: object = field(default_factory=lambda: MODELS)
    wants_key: str = ""
    api: str = "/v1"
    asked: list[Asked] = field(default_factory=list)
    pages: dict[str, Callable[[Asked], list[Part]]] = field(default_factory=dict)

    def parts(self, asked: Asked) -> list[Part]:
        self.asked.append(asked)
        if self.wants_key and asked.headers.get("authorization") != f"Bearer {self.wants_key}":
            said = asked.headers.get("authorization", "nothing")
            return [plain(401, {"error": {"message": f"the key is wrong: {said}"}})]
        if asked.path in self.pages:
            return self.pages[asked.path](asked)
        if asked.path == f"{self.api}/models" and self.models is not None:
            return [plain(200, self.models)]
        if asked.path == f"{self.api}/completions":
            return self.answer(asked)
        return [plain(404, {"error": {"message": "there is no such page"}})]


def plain(status: int, document: object, kind: str = "application/json", more: str = "") -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(
    text: str, number: int | None = None, *, finish: str | None = None, model: str = "small", **more: object
) -> bytes:
    choice: dict[str, object] = {"index": 0, "text": text, "finish_reason": finish}
    if number is not None:
        choice["token_ids"] = [number]
    return b"data: " + json.dumps({"model": model, "choices": [choice], **more}).encode() + b"\n\n"


def end(count: int) -> bytes:
    usage = {"completion_tokens": count}
    return event("", finish="stop", usage=usage) + b"data: [DONE]\n\n"


def good(asked: Asked, *, numbers: bool = True) -> list[Part]:
    """An answer of as many tokens as were asked for, 100 and so on."""
    count = asked.body["max_tokens"]
    tokens = [event(f" {at}", 100 + at if numbers else None) for at in range(count)]
    return [STREAM, *[chunk(each) for each in tokens], chunk(end(count)), b"0\r\n\r\n"]


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while line := self.rfile.readline():
            method, path, _ = line.decode().split(" ", 2)
            headers = {}
            while line := self.rfile.readline().strip():
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            body = self.rfile.read(int(headers.get("content-length", 0)))
            asked = Asked(method, path, headers, json.loads(body) if body else {}, self.client_address)
            for part in self.server.script.parts(asked):  # type: ignore[attr-defined]
                if isinstance(part, threading.Event):
                    part.wait(60)
                elif not part:
                    return  # closes early
                else:
                    self.wfile.write(part)
                    self.wfile.flush()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 1024

    def handle_error(self, *_: object) -> None:
        """A client that left."""


@contextlib.contextmanager
def serving(script: Script, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[str]:
    """The address of a server that follows the script, on an address of this machine."""
    with _Server((host, 0), _Handler) as server:
        server.script = script  # type: ignore[attr-defined]
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        name = "http" if context is None else "https"
        yield f"{name}://{host}:{server.server_address[1]}"
        server.shutdown()
