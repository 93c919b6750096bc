"""``python3 -m mlorch_harness.client.process FD``: holds connections to servers for the process that started it.

It is asked over the socket with the number ``FD`` (`messages`), and ends when that is closed: also where the other
process was killed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import traceback
from typing import TYPE_CHECKING

import uvloop

from .errors import EndpointError
from .fetching import Fetching
from .messages import ALIVE_S, Abort, Answered, Ask, Began, Channel, Failed, Heard, Serve, There, ToProcess

if TYPE_CHECKING:
    from .fetching import Reply

BROKEN = 70
"""The exit status for a fault of its own (``EX_SOFTWARE``)."""


class _Process:
    """Hands requests to its `Fetching`, and what becomes of them back."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.channel = Channel(ToProcess, self._asked, self.ended.set)
        self._fetching: Fetching | None = None

    def _asked(self, message: ToProcess) -> None:
        if isinstance(message, Serve):
            self._fetching = Fetching(message.target, self)
            self._alive = asyncio.get_running_loop().create_task(self._say_alive())
            return
        assert self._fetching is not None  # the first message says whom to ask
        if isinstance(message, Ask):
            self._fetching.send(message.number, message.at, message.path, message.body, message.patience_s)
        elif isinstance(message, Abort):
            self._fetching.abort()

    async def _say_alive(self) -> None:
        while True:
            self.channel.send(There())
            await asyncio.sleep(ALIVE_S)

    def began(self, number: int, at: int, tokens: list[int] | None, model: str | None) -> None:
        self.channel.send(Began(number, at, tokens, model))

    def answered(self, number: int, at: int, reply: Reply) -> None:
        self.channel.send(Answered(number, at, reply.tokens, reply.text, reply.count))

    def failed(self, error: BaseException) -> None:
        if isinstance(error, EndpointError):
            self.channel.send(Failed(str(error), of_server=True))
        else:
            self.channel.send(Failed(f"{type(error).__name__}: {error}", of_server=False))

    def heard(self, at: int, when: float) -> None:
        self.channel.send(Heard(at, when))


async def serve(channel: socket.socket) -> None:
    """Until the other end of ``channel`` is closed."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_leave)
    process = _Process()
    await loop.create_unix_connection(lambda: process.channel, sock=channel)
    await process.ended.wait()


def _leave(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """A fault of its own ends the process: who waits for an answer hears of that, and of nothing else."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        traceback.print_exception(error)
    sys.stderr.write(f"{context.get('message')}\n")
    sys.stderr.flush()
    os._exit(BROKEN)


def main(arguments: list[str]) -> int:
    (number,) = arguments
    uvloop.run(serve(socket.socket(fileno=int(number))))
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # without what is under way: nobody waits for it
