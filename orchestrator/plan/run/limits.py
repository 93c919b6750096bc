"""How long a test may take, and how long it may print nothing. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.facts.runs import TimeLimit

if TYPE_CHECKING:
    from collections.abc import Mapping

LEAST_S = 24 * 3600
"""A large model may need hours until it is loaded, and an accuracy test reads the whole data set."""
TIMES = 20
"""How many times its least duration a test may take: LoadGen goes on until it has queries enough."""
SILENCE_S = 2 * 3600
"""Our own harness tells how far it is several times a second; weights of 400 GB are read before that."""


def time_limit(loadgen: Mapping[str, object], asked_s: int | None, *, is_ours: bool) -> TimeLimit:
    """The limit of a test with these settings of LoadGen: what the command line says, else far above what it needs.

    A program of somebody else may be silent as long as it likes.
    """
    silence = SILENCE_S if is_ours else None
    if asked_s is not None:
        return TimeLimit(
            total_s=asked_s, silence_s=None if silence is None else min(silence, asked_s), source="command line"
        )
    least = loadgen.get("min_duration_ms")
    seconds = least // 1000 if isinstance(least, int) else 0
    return TimeLimit(total_s=LEAST_S + TIMES * seconds, silence_s=silence)
