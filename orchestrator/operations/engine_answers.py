"""What a run asks its engine first, asked ahead: the engine takes its time to answer, and a command to be imported."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.engines import Engine, EngineFacts
    from orchestrator.operations.context import Context

    EngineAnswers = tuple[Engine, EngineFacts, Mapping[str, int | None]]
    """The engine, what it says of itself, and the most that it can give of each limit (empty: not known)."""


def ask(context: Context) -> Future[EngineAnswers]:
    """Ask in a thread of its own, which keeps no process from ending; the result raises `EngineError` as asking did."""
    answers: Future[EngineAnswers] = Future()

    def work() -> None:
        try:
            engine = context.engine
            answers.set_result((engine, engine.facts(), engine.daemon_limits()))
        except BaseException as error:  # noqa: BLE001 (whoever asks for the result gets it)
            answers.set_exception(error)

    threading.Thread(target=work, name="ask-engine", daemon=True).start()
    return answers
