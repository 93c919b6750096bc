"""One container run to its end: its console is heard, its time limited, and the engine asked how it really runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.engines.stopper import Stopper
from orchestrator.runs.deployed import observed
from orchestrator.runs.failures import explanation

if TYPE_CHECKING:
    from collections.abc import Callable
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
    """`engines.stopper.TIME` or `SILENCE` where it was stopped for that, else empty."""
    deployed: Deployed | None = None


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
