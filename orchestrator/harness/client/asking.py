"""Requests spread over servers: each goes to the one with the least to do; at most so many are under way at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .errors import printable
from .greeting import About, agree, is_model, meet
from .requests import Requests, Server, session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .dialects import Dialect, Form
    from .events import Answer

    Prompt = Callable[[Form], Sequence[int] | str]

WATCH_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Target:
    """The servers, and what they are asked for; times in seconds."""

    urls: tuple[str, ...]
    model: str
    limit: int
    """Tokens of an answer at most."""
    key: str | None = None
    ca_file: str | None = None
    ready_s: float = 30.0
    stall_s: float = 120.0


@dataclass(frozen=True)
class Reply:
    """An answer: its tokens, or where the server keeps their numbers to itself, its text; and how many there are."""

    tokens: list[int] | None
    text: str
    count: int


class Listener(Protocol):
    """Who is told of answers, in the loop's thread."""

    def first(self, number: int, tokens: list[int] | None) -> None:
        """The first token of an answer is there; its number, where the server gives it."""
        ...

    def done(self, number: int, index: int, reply: Reply) -> None: ...

    def failed(self, error: BaseException) -> None:
        """Once, for the first failure: all that is under way is then `lost`, and all that comes after it."""
        ...

    def lost(self, number: int, *, begun: bool) -> None: ...


class Asking:
    """Lives in one event loop; ``requests`` are numbers of the caller's, with the sample that each asks for."""

    def __init__(self, target: Target, in_flight: int) -> None:
        self._target, self._in_flight = target, in_flight
        self.servers = [Server(url) for url in target.urls]
        self._names: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._queues: list[deque[tuple[int, int, int]]] = [deque() for _ in self.servers]
        self._busy = [0] * len(self.servers)
        self._watch: asyncio.Task[None] | None = None
        self.error: BaseException | None = None

    async def open(self) -> list[About]:
        """Meet the servers. Raises `EndpointError`."""
        target = self._target
        self._session = session(target.key, target.ca_file)
        self._requests = Requests(self._session, target.key)
        abouts = [await meet(self._requests, server, target.model, target.ready_s) for server in self.servers]
        self._names = sorted({name for about in abouts for name in about.names})
        return abouts

    async def agree(self, abouts: Sequence[About], forms: Sequence[Form], prompt: Prompt) -> Dialect:
        """How all servers are asked: as the first one wants it. Raises `EndpointError`."""
        dialect: Dialect | None = None
        for server, about in zip(self.servers, abouts, strict=True):
            wanted = forms if dialect is None else [dialect.form]
            found = await agree(self._requests, server, about, self._target.model, wanted, prompt)
            if dialect is not None and found != dialect:
                raise server.wrong(f"wants to be asked otherwise than {self.servers[0].url}: they are no replicas")
            dialect = found
        assert dialect is not None  # there is a server
        return dialect

    @property
    def requests(self) -> Requests:
        return self._requests

    def listen(self, dialect: Dialect, body: Callable[[int], bytes], cost: Callable[[int], int], to: Listener) -> None:
        """From now on `submit` may be called; ``body`` is the request for a sample, ``cost`` its tokens."""
        self._path, self._body, self._cost, self._to = dialect.path, body, cost, to
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._look())

    def submit(self, number: int, index: int) -> None:
        """Ask for the answer to a sample."""
        if self.error is not None:
            self._to.lost(number, begun=False)
            return
        servers = self.servers
        at = 0 if len(servers) == 1 else min(range(len(servers)), key=lambda each: servers[each].waiting)
        cost = self._cost(index)
        servers[at].waiting += cost
        if self._busy[at] < self._in_flight:
            self._start(at, number, index, cost)
        else:
            self._queues[at].append((number, index, cost))

    def _start(self, at: int, number: int, index: int, cost: int) -> None:
        self._busy[at] += 1
        task = asyncio.get_running_loop().create_task(self._serve(at, number, index, cost))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, at: int, number: int, index: int, cost: int) -> None:
        begun = False

        def first(answer: Answer) -> None:
            nonlocal begun
            begun = True
            self._check_model(at, answer)
            self._to.first(number, answer.first_tokens() if answer.numbered else None)

        try:
            await self._ask(at, number, index, first)
        except BaseException as error:  # noqa: BLE001 - whoever waits gets an answer
            self.fail(error)
            self._to.lost(number, begun=begun)
        finally:
            self._busy[at] -= 1
            self.servers[at].waiting -= cost
            if self._queues[at] and self.error is None:
                self._start(at, *self._queues[at].popleft())

    async def _ask(self, at: int, number: int, index: int, first: Callable[[Answer], None]) -> None:
        server = self.servers[at]
        answer = await self._requests.answer(server, self._path, self._body(index), self._target.limit, first)
        if answer.numbered:
            tokens = answer.tokens()
            reply = Reply(tokens, "", len(tokens))
        elif answer.count is None:
            raise server.wrong("gives neither the tokens' numbers nor how many there are")
        else:
            reply = Reply(None, answer.text(), answer.count)
        if not answer.begun:
            raise server.wrong("gives an empty answer")
        self._to.done(number, index, reply)

    def _check_model(self, at: int, answer: Answer) -> None:
        model = answer.model
        if model is not None and not is_model(self._target.model, self._names, model):
            asked, other = printable(self._target.model, 200), printable(model, 200)
            raise self.servers[at].wrong(f"was asked for the model `{asked}` and answers with `{other}`")

    def fail(self, error: BaseException) -> None:
        """The first failure ends all that is under way."""
        if self.error is not None:
            return
        self.error = error
        self._to.failed(error)
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        for waiting in self._queues:
            while waiting:
                self._to.lost(waiting.popleft()[0], begun=False)

    async def _look(self) -> None:
        """Ends what stalls."""
        while True:
            await asyncio.sleep(WATCH_S)
            now, limit = time.monotonic(), self._target.stall_s
            for server in self.servers:
                if why := stalled(server, now, limit):
                    self.fail(server.wrong(why))

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        for task in list(self._tasks):
            task.cancel()
        await self._session.close()


def stalled(server: Server, now: float, limit: float) -> str:
    """Why a server is taken for stalled at the moment ``now``; empty where it is not.

    An answer that has begun has to go on. One that has not may wait for others, as long as the server says anything.
    """
    if not server.under:
        return ""
    if any(each.begun and now - each.heard > limit for each in server.under):
        return f"stopped in the middle of an answer for {limit:g} s"
    since = max(server.heard, min(each.heard for each in server.under))
    if now - since > limit:
        return f"has {len(server.under)} requests and said nothing for {limit:g} s"
    return ""
