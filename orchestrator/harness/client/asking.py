"""Requests spread over servers: each goes to the one with the least to do; at most so many are under way at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .errors import printable
from .fetching import WATCH_S, Fetching, Reply, Target
from .greeting import About, agree, is_model, meet
from .processes import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .dialects import Dialect, Form
    from .fetching import Fetcher
    from .requests import Requests, Server

    Prompt = Callable[[Form], Sequence[int] | str]

__all__ = ["Asking", "Listener", "Reply", "Target"]


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


class _Nobody:
    """Listens before `Asking.listen`."""

    def first(self, number: int, tokens: list[int] | None) -> None: ...

    def done(self, number: int, index: int, reply: Reply) -> None: ...

    def failed(self, error: BaseException) -> None: ...

    def lost(self, number: int, *, begun: bool) -> None: ...


@dataclass(slots=True)
class _Under:
    """A request under way; ``since`` is a time of `time.monotonic`, ``cost`` its tokens."""

    index: int
    cost: int
    since: float
    begun: bool = False


class _Line:
    """What waits for one server, and what is under way there."""

    def __init__(self) -> None:
        self.cost = 0
        """Tokens that it has to do: of prompts, and the longest answers to them."""
        self.queue: deque[tuple[int, int, int]] = deque()
        self.under: dict[int, _Under] = {}  # the oldest first
        self.heard = 0.0


class Asking:
    """Lives in one event loop; ``requests`` are numbers of the caller's, with the sample that each asks for.

    ``processes`` of 1 is this process; more are started beside it, and hold the connections in its place.
    """

    def __init__(self, target: Target, in_flight: int, processes: int = 1) -> None:
        self._target, self._in_flight, self._count = target, in_flight, processes
        self._names: list[str] = []
        self._lines = [_Line() for _ in target.urls]
        self._watch: asyncio.Task[None] | None = None
        self._here: Fetching | None = None
        self._processes: Processes | None = None
        self._to: Listener = _Nobody()
        self.error: BaseException | None = None

    async def open(self) -> list[About]:
        """Meet the servers. Raises `EndpointError`, `ClientError`."""
        target = self._target
        self._here = Fetching(target, self)
        if self._count > 1:  # they start while the servers are waited for
            self._processes = Processes(target, self._count, self)
            await self._processes.open()
        self._fetcher: Fetcher = self._processes or self._here
        abouts = [await meet(self.requests, server, target.model, target.ready_s) for server in self.servers]
        if self._processes is not None:
            await self._processes.ready()
        self._names = sorted({name for about in abouts for name in about.names})
        return abouts

    @property
    def servers(self) -> list[Server]:
        assert self._here is not None  # `open` comes first
        return self._here.servers

    @property
    def requests(self) -> Requests:
        """For questions beside the test's: asked by this process."""
        assert self._here is not None
        return self._here.requests

    async def agree(self, abouts: Sequence[About], forms: Sequence[Form], prompt: Prompt) -> Dialect:
        """How all servers are asked: as the first one wants it. Raises `EndpointError`."""
        dialect: Dialect | None = None
        for server, about in zip(self.servers, abouts, strict=True):
            wanted = forms if dialect is None else [dialect.form]
            found = await agree(self.requests, server, about, self._target, wanted, prompt)
            if dialect is not None and found != dialect:
                raise server.wrong(f"wants to be asked otherwise than {self.servers[0].url}: they are no replicas")
            dialect = found
        assert dialect is not None  # there is a server
        return dialect

    def listen(
        self,
        dialect: Dialect,
        body: Callable[[int], bytes],
        cost: Callable[[int], int],
        to: Listener,
        patience_s: float = 0.0,
    ) -> None:
        """From now on `submit` may be called; ``body`` is the request for a sample, ``cost`` its tokens.

        A server that refuses one for now is left alone as long as it asks, up to ``patience_s`` seconds: for
        what nobody times.
        """
        self._path, self._body, self._cost, self._to = dialect.path, body, cost, to
        self._patience_s = patience_s
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._look())

    def submit(self, number: int, index: int) -> None:
        """Ask for the answer to a sample."""
        if self.error is not None:
            self._to.lost(number, begun=False)
            return
        lines = self._lines
        at = 0 if len(lines) == 1 else min(range(len(lines)), key=lambda each: lines[each].cost)
        line, cost = lines[at], self._cost(index)
        line.cost += cost
        if len(line.under) < self._in_flight:
            self._start(at, number, index, cost)
        else:
            line.queue.append((number, index, cost))

    def _start(self, at: int, number: int, index: int, cost: int) -> None:
        self._lines[at].under[number] = _Under(index, cost, time.monotonic())
        self._fetcher.send(number, at, self._path, self._body(index), self._patience_s)

    # -- what the fetcher tells ---------------------------------------------------------------

    def began(self, number: int, at: int, tokens: list[int] | None, model: str | None) -> None:
        line = self._lines[at]
        line.heard = time.monotonic()
        under = line.under.get(number)
        if under is None:  # given up
            return
        try:
            self._check_model(at, model)
            under.begun = True
            self._to.first(number, tokens)
        except BaseException as error:  # noqa: BLE001 - whoever waits gets an answer
            self.failed(error)

    def answered(self, number: int, at: int, reply: Reply) -> None:
        line = self._lines[at]
        under = line.under.pop(number, None)
        if under is None:  # given up
            return
        line.cost -= under.cost
        line.heard = time.monotonic()
        try:
            self._to.done(number, under.index, reply)
        except BaseException as error:  # noqa: BLE001 - whoever waits gets an answer
            line.under[number] = under
            self.failed(error)
        if line.queue and self.error is None:
            self._start(at, *line.queue.popleft())

    def failed(self, error: BaseException) -> None:
        """The first failure ends all that is under way."""
        if self.error is not None:
            return
        self.error = error
        self._to.failed(error)
        self._fetcher.abort()
        for line in self._lines:
            for number, under in line.under.items():
                self._to.lost(number, begun=under.begun)
            line.under.clear()
            while line.queue:
                self._to.lost(line.queue.popleft()[0], begun=False)

    def heard(self, at: int, when: float) -> None:
        self._lines[at].heard = max(self._lines[at].heard, when)

    def _check_model(self, at: int, model: str | None) -> None:
        if model is not None and not is_model(self._target.model, self._names, model):
            asked, other = printable(self._target.model, 200), printable(model, 200)
            raise self.servers[at].wrong(f"was asked for the model `{asked}` and answers with `{other}`")

    async def _look(self) -> None:
        """Ends what never begins: a request may wait for others, as long as its server says anything."""
        while True:
            await asyncio.sleep(WATCH_S)
            now, limit = time.monotonic(), self._target.stall_s
            for server, line in zip(self.servers, self._lines, strict=True):
                oldest = next((under for under in line.under.values() if not under.begun), None)
                # (what was heard is told so late)
                if oldest is not None and now - max(line.heard, oldest.since) > limit + WATCH_S:
                    self.failed(server.wrong(f"has {len(line.under)} requests and said nothing for {limit:g} s"))

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._processes is not None:
            await self._processes.close()
        if self._here is not None:
            await self._here.close()
