"""Servers of OpenAI's interface that follow a script, asked as a test asks them; and what a listener was told."""

from __future__ import annotations

import asyncio
import threading

from little_servers import Script, good

from orchestrator.harness.client.asking import Asking, Target

NEVER = threading.Event()
LIMIT = 4


class Heard:
    """What a listener was told; ``over`` when every request has had its end."""

    def __init__(self, count: int) -> None:
        self.firsts: list = []
        self.replies: dict = {}
        self.lost_ones: list = []
        self.error: BaseException | None = None
        self._count, self.over = count, asyncio.Event()

    def _one(self) -> None:
        self._count -= 1
        if not self._count:
            self.over.set()

    def first(self, number, tokens):
        self.firsts.append((number, tokens))

    def done(self, number, index, reply):
        self.replies[number] = reply
        self._one()

    def failed(self, error):
        assert self.error is None, "only the first failure is told"
        self.error = error

    def lost(self, number, *, begun):
        self.lost_ones.append((number, begun))
        self._one()


async def _talk(target: Target, count: int, forms, in_flight: int, processes: int, patience_s: float) -> Heard:
    asking = Asking(target, in_flight, processes)
    try:
        abouts = await asking.open()
        dialect = await asking.agree(abouts, forms, lambda form: [1, 2, 3] if form == "tokens" else "why?")
        heard = Heard(count)
        asking.listen(
            dialect, lambda index: dialect.body("small", [1, 2, 3 + index], LIMIT), lambda _: 7, heard, patience_s
        )
        for number in range(count):
            asking.submit(number, number)
        await heard.over.wait()
        return heard
    finally:
        await asking.close()


def talk(
    url: str | tuple,
    count: int = 1,
    *,
    forms=("tokens",),
    in_flight: int = 64,
    processes: int = 1,
    patience_s: float = 0.0,
    **more,
) -> Heard:
    """Meet the servers, ask for ``count`` answers, wait for all; raises what meeting them raises."""
    urls = (url,) if isinstance(url, str) else url
    target = Target(urls=urls, model="small", limit=LIMIT, **{"ready_s": 1.0, "stall_s": 0.6, **more})
    return asyncio.run(asyncio.wait_for(_talk(target, count, forms, in_flight, processes, patience_s), 20))


def after_greeting(answer):
    """A server whose first answer, which shows how it is asked, is good."""
    greeted = threading.Event()

    def parts(asked):
        if not greeted.is_set():
            greeted.set()
            return good(asked)
        return answer(asked)

    return Script(parts)
