"""Answers fetched by several processes beside this one, which is left with a message at the begin and end of each.

A token of a stream costs a process of Python some tens of microseconds (HTTP, JSON, limits), so that one process is
full at so many thousands a second. LoadGen stays here, in one process; connections are what is spread.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from .errors import EndpointError
from .fetching import Reply
from .messages import ALIVE_S, Abort, Answered, Ask, Began, Channel, Failed, FromProcess, Heard, Serve, There

if TYPE_CHECKING:
    from .fetching import Events, Target

END_S = 5.0
"""Seconds that a process has to end when nobody asks it any more."""
_STATUS_S = 2.0


class ClientError(RuntimeError):
    """A process of the client that does not do its work."""


class _Process:
    """One of them, with how many requests it has under way at each server."""

    def __init__(self, number: int, process: subprocess.Popen[bytes], servers: int) -> None:
        self.number, self.process = number, process
        self.under = [0] * servers
        self.total = 0
        self.alive = time.monotonic()
        self.channel: Channel
        self.there: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Processes:
    """A `Fetcher` whose connections are held by ``count`` processes; `open` and `ready` before all else."""

    def __init__(self, target: Target, count: int, to: Events) -> None:
        self._target, self._count, self._to = target, count, to
        self._all: list[_Process] = []
        self._closing = False
        self._watch: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start them. Raises `ClientError`."""
        try:
            for number in range(self._count):
                await self._start(number)
        except OSError as error:
            await self.close()
            raise ClientError(f"process {len(self._all) + 1} of the client cannot be started: {error}") from error

    async def _start(self, number: int) -> None:
        started, ours = _started()
        one = _Process(number, started, len(self._target.urls))
        self._all.append(one)
        one.channel = Channel(FromProcess, lambda message: self._told(one, message), lambda: self._gone(one))
        await asyncio.get_running_loop().create_unix_connection(lambda: one.channel, sock=ours)
        one.channel.send(Serve(self._target))

    async def ready(self) -> None:
        """Wait until all of them can be asked. Raises `ClientError`."""
        await asyncio.gather(*[one.there for one in self._all])
        self._watch = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        """Ends the test where a process is there and does nothing: stopped, or stuck."""
        while True:
            await asyncio.sleep(ALIVE_S)
            for one in self._all:
                silent = time.monotonic() - one.alive
                if one.total and silent > self._target.stall_s + ALIVE_S:
                    self._to.failed(ClientError(f"{self._which(one)} did nothing for {silent:.0f} s"))

    def _which(self, one: _Process) -> str:
        return f"process {one.number + 1} of {self._count} of the client"

    def send(self, number: int, at: int, path: str, body: bytes, patience_s: float) -> None:
        one = min(self._all, key=lambda each: (each.under[at], each.total))
        one.under[at] += 1
        one.total += 1
        one.channel.send(Ask(number, at, path, body, patience_s))

    def _told(self, one: _Process, message: FromProcess) -> None:
        if isinstance(message, Began):
            self._to.began(message.number, message.at, message.tokens, message.model)
        elif isinstance(message, Answered):
            one.under[message.at] -= 1
            one.total -= 1
            self._to.answered(message.number, message.at, Reply(message.tokens, message.text, message.count))
        elif isinstance(message, Heard):
            self._to.heard(message.at, message.when)
        elif isinstance(message, There):
            one.alive = time.monotonic()
            if not one.there.done():
                one.there.set_result(None)
        elif isinstance(message, Failed):
            self._to.failed((EndpointError if message.of_server else ClientError)(message.text))

    def _gone(self, one: _Process) -> None:
        """A process that ended though it was not asked to has lost what it had under way."""
        if self._closing:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(_STATUS_S)
        error = ClientError(f"{self._which(one)} {_how(one.process.returncode)}, with {one.total} requests under way")
        if one.there.done():
            self._to.failed(error)
        else:
            one.there.set_exception(error)

    def abort(self) -> None:
        for one in self._all:
            one.channel.send(Abort())

    async def close(self) -> None:
        """Have them end; whichever does not is killed."""
        self._closing = True
        if self._watch is not None:
            self._watch.cancel()
        for one in self._all:
            one.channel.close()
        await asyncio.get_running_loop().run_in_executor(None, self._end)

    def _end(self) -> None:
        for one in self._all:
            try:
                one.process.wait(END_S)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()


def _started() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A process, and our end of what it is asked over. Raises `OSError`."""
    ours, theirs = socket.socketpair()
    with theirs:
        descriptor = theirs.fileno()
        command = [sys.executable, "-m", f"{__package__}.process", str(descriptor)]
        try:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[descriptor]), ours
        except OSError:
            ours.close()
            raise


def _how(status: int | None) -> str:
    if status is None:
        return "closed its connection"
    if status < 0:
        name = signal.Signals(-status).name
        return f"was killed by {name}" + (" (for memory?)" if name == "SIGKILL" else "")
    return f"ended with {status}"
