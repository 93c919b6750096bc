"""What the client itself reaches: ``python3 -m mlorch_harness.ceiling SETTINGS URL`` writes ``ceiling.json``.

The file is written beside the settings. The same code that a test runs, but LoadGen, in as many processes, asks the
server at ``URL`` (`nullserver`), which computes nothing. Tokens are counted with answers as long as the test's;
requests with the shortest ones that LoadGen times.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .client.asking import Asking, Reply, Target
from .client.dialects import NUMBERS, Dialect
from .client.loop import Loop
from .lines import log, write_json
from .served_layout import processes
from .settings import SettingsError, read
from .streams import LEAST_TOKENS

if TYPE_CHECKING:
    from .settings import Settings

SECONDS = 2.0
"""That each of the two is measured for, after as long a time of warming up as `WARM_S`."""
WARM_S = 0.3
AT_ONCE = 64
"""Requests under way, for each process of the client."""
PROMPT = 128
"""Tokens of a prompt, where nothing is known of the data set's."""
MODEL = "null"
FILE = "ceiling.json"
VERSION = 1


class _Counted:
    """Keeps so many requests under way, and counts what is answered."""

    def __init__(self, asking: Asking, at_once: int) -> None:
        self._asking, self._at_once = asking, at_once
        self.requests = self.tokens = 0
        self.begun = asyncio.Event()
        """There were as many answers as requests at first."""
        self.error: BaseException | None = None

    def first(self, number: int, tokens: list[int] | None) -> None:
        """Nothing is timed here."""

    def done(self, number: int, index: int, reply: Reply) -> None:
        self.requests += 1
        if self.requests >= self._at_once:
            self.begun.set()
        self.tokens += reply.count
        self._asking.submit(number, index)

    def failed(self, error: BaseException) -> None:
        self.error = error
        self.begun.set()

    def lost(self, number: int, *, begun: bool) -> None:
        """`failed` says it."""


async def measure(url: str, limit: int, prompt: int, count: int = 1) -> tuple[float, float]:
    """Requests and tokens a second of a client of ``count`` processes, with answers of ``limit`` tokens.

    Raises `EndpointError`, `ClientError`.
    """
    at_once = AT_ONCE * count
    asking = Asking(Target(urls=(url,), model=MODEL, limit=limit), at_once, count)
    try:
        await asking.open()
        dialect = Dialect(form="tokens", extra=NUMBERS["vllm"])
        body = dialect.body(MODEL, list(range(100, 100 + prompt)), limit)
        counted = _Counted(asking, at_once)
        asking.listen(dialect, lambda _: body, lambda _: prompt + limit, counted)
        for number in range(at_once):
            asking.submit(number, 0)
        await counted.begun.wait()
        await asyncio.sleep(WARM_S)
        before, started = (counted.requests, counted.tokens), time.perf_counter()
        await asyncio.sleep(SECONDS)
        took = time.perf_counter() - started
        if counted.error is not None:
            raise counted.error
        return (counted.requests - before[0]) / took, (counted.tokens - before[1]) / took
    finally:
        await asking.close()


def ceiling(settings: Settings, url: str) -> dict[str, object]:
    """For `ceiling.json`. Raises `EndpointError`, `ClientError`."""
    limit = settings.generation.limit if settings.generation is not None else 128
    loop, count = Loop(), processes(settings)
    requests, _ = loop.run(measure(url, LEAST_TOKENS, PROMPT, count))
    _, tokens = loop.run(measure(url, limit, PROMPT, count))
    loop.close()
    return {
        "version": VERSION,
        "processes": count,
        "unix_ns": time.time_ns(),
        "requests_per_s": round(requests, 1),
        "tokens_per_s": round(tokens, 1),
    }


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        sys.stderr.write("usage: python3 -m mlorch_harness.ceiling SETTINGS URL\n")
        return 2
    path = Path(arguments[0])
    try:
        settings = read(path)
    except SettingsError as error:
        sys.stderr.write(f"settings refused: {error}\n")
        return 2
    try:
        document = ceiling(settings, arguments[1])
    except Exception as error:  # noqa: BLE001 - told, and the status says it
        log(f"failed: {type(error).__name__}: {error}")
        return 1
    write_json(path.absolute().parent / FILE, document)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
