"""Answers fetched from servers in this process's event loop; who asked is told of each by its number."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from .requests import Requests, Server, patiently, session

if TYPE_CHECKING:
    from .events import Answer

WATCH_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Target:
    """The servers, and what they are asked for; times in seconds."""

    urls: tuple[str, ...]
    model: str
    limit: int
    """Tokens of an answer at most."""
    key: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    ready_s: float = 30.0
    stall_s: float = 120.0


@dataclass(frozen=True)
class Reply:
    """An answer: its tokens, or where the server keeps their numbers to itself, its text; and how many there are."""

    tokens: list[int] | None
    text: str
    count: int


class Events(Protocol):
    """Who asked. ``at`` is a server's place in `Target.urls`; times are `time.monotonic`'s, which processes share."""

    def began(self, number: int, at: int, tokens: list[int] | None, model: str | None) -> None:
        """The first token is there, with its number where the server gives it; and the model that the server names."""
        ...

    def answered(self, number: int, at: int, reply: Reply) -> None: ...

    def failed(self, error: BaseException) -> None:
        """An answer that did not come, or that is none."""
        ...

    def heard(self, at: int, when: float) -> None:
        """A server said something, at this moment the last time; told now and then."""
        ...


class Fetcher(Protocol):
    """Fetches answers, in this process or in others; ``at`` and ``number`` as in `Events`."""

    def send(self, number: int, at: int, path: str, body: bytes, patience_s: float) -> None:
        """``patience_s`` as in `patiently`."""
        ...

    def abort(self) -> None:
        """Let go of all that is under way."""
        ...

    async def close(self) -> None: ...


class Fetching:
    """A `Fetcher` that holds the connections itself, in the loop that it is made in."""

    def __init__(self, target: Target, to: Events) -> None:
        """Raises `EndpointError` where the target's certificates cannot be read."""
        self.servers = [Server(url) for url in target.urls]
        self._session = session(target.key, target.ca_file)
        self.requests = Requests(self._session, target.key)
        self._target, self._to = target, to
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._watch = self._loop.create_task(self._look())

    def send(self, number: int, at: int, path: str, body: bytes, patience_s: float) -> None:
        task = self._loop.create_task(self._fetch(number, at, path, body, patience_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch(self, number: int, at: int, path: str, body: bytes, patience_s: float) -> None:
        def first(answer: Answer) -> None:
            tokens = answer.first_tokens() if answer.numbered else None
            self._to.began(number, at, tokens, answer.model)

        server = self.servers[at]
        try:
            ask = partial(self.requests.answer, server, path, body, self._target.limit, first)
            answer = await patiently(server, ask, patience_s)
            reply = _reply(server, answer)
        except asyncio.CancelledError:
            return
        except BaseException as error:  # noqa: BLE001 - whoever waits gets an answer
            self._to.failed(error)
            return
        self._to.answered(number, at, reply)

    async def _look(self) -> None:
        """Ends what stops in the middle of an answer, and tells which servers said something."""
        told = [server.heard for server in self.servers]
        while True:
            await asyncio.sleep(WATCH_S)
            now, limit = time.monotonic(), self._target.stall_s
            for at, server in enumerate(self.servers):
                if server.heard != told[at]:
                    told[at] = server.heard
                    self._to.heard(at, server.heard)
                if any(each.begun and now - each.heard > limit for each in server.under):
                    self._to.failed(server.wrong(f"stopped in the middle of an answer for {limit:g} s"))

    def abort(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    async def close(self) -> None:
        self._watch.cancel()
        self.abort()
        await self._session.close()


def _reply(server: Server, answer: Answer) -> Reply:
    """Raises `EndpointError` for an answer that is empty or not counted."""
    if answer.numbered:
        tokens = answer.tokens()
        reply = Reply(tokens, "", len(tokens))
    elif answer.count is None:
        raise server.wrong("gives neither the tokens' numbers nor how many there are")
    else:
        reply = Reply(None, answer.text(), answer.count)
    if not answer.begun:
        raise server.wrong("gives an empty answer")
    return reply
