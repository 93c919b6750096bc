"""One container run to its end: its console is heard, its time limited, and the engine asked how it really runs."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import MlorchError
from orchestrator.runs.deployed import observed
from orchestrator.runs.failures import explanation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO

    from orchestrator.engines import ContainerExit, Engine
    from orchestrator.facts.containers import ContainerSpec, Deployed
    from orchestrator.facts.runs import TimeLimit
    from orchestrator.runs.console_log import ConsoleLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A container that ended, after ``seconds``; ``deployed`` is how it really ran, None where nobody saw it."""

    exit: ContainerExit
    seconds: float
    timed_out: str
    """`TIME` or `SILENCE` where it was stopped for that, else empty."""
    deployed: Deployed | None = None


_LONGEST_WAIT_S = 3600.0
TIME, SILENCE = "time", "silence"
"""Why a container was stopped."""


class Stopper:
    """Stops a container, by its name, when its time is over, when it is silent, or when it is known to have failed."""

    def __init__(self, engine: Engine, name: str, limit: TimeLimit | None) -> None:
        self._engine = engine
        self._name = name
        self._limit = limit
        self._stopping = False
        self._ended = threading.Event()
        self._heard = time.monotonic()
        self.timed_out = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        if self._limit is None:
            yield
            return
        threading.Thread(target=self._look, args=(self._limit,), daemon=True).start()
        try:
            yield
        finally:
            self._ended.set()

    def heard(self) -> None:
        """The container printed something."""
        self._heard = time.monotonic()

    def stop(self) -> None:
        """Stop the container, once; whoever calls goes on reading what it prints meanwhile."""
        if not self._stopping:
            self._stopping = True
            threading.Thread(target=self._stop, daemon=True).start()

    def _look(self, limit: TimeLimit) -> None:
        self._heard = time.monotonic()
        until = self._heard + limit.total_s
        while True:
            silent = math.inf if limit.silence_s is None else self._heard + limit.silence_s
            left = min(until, silent) - time.monotonic()
            if left <= 0:
                self.timed_out = TIME if until <= silent else SILENCE
                self._stop()
                return
            if self._ended.wait(min(left, _LONGEST_WAIT_S)):
                return

    def _stop(self) -> None:
        with contextlib.suppress(MlorchError):  # whoever follows the container hears of it as well
            self._engine.stop(self._name)


def follow(
    engine: Engine,
    container: ContainerSpec,
    log: Path,
    console_of: Callable[[TextIO], ConsoleLog],
    *,
    judge: Callable[[str], bool] | None = None,
    limit: TimeLimit | None = None,
) -> Followed:
    """Run one container to its end; it is stopped at its ``limit``, and where ``judge`` has enough.

    What it prints goes to ``log``, a new file, through what ``console_of`` makes of it. Raises what the engine raises.
    """
    clock = Stopper(engine, container.name, limit)
    started = time.monotonic()
    with log.open("x", encoding="utf-8") as stream, clock.running():
        console = console_of(stream)

        def on_line(raw: str) -> None:
            clock.heard()
            try:
                console.line(raw)
            except OSError as exc:  # explained here, as the engine would take it for trouble of its own
                raise explanation(exc, log.parent) from exc
            if judge is not None and judge(raw.rstrip("\r\n")):
                clock.stop()

        with observed(engine, container) as look:
            ended = engine.run(container, on_line)
    seconds = time.monotonic() - started
    return Followed(exit=ended, seconds=seconds, timed_out=clock.timed_out, deployed=look.deployed)
