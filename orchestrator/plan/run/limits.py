"""How long a test may take, and how long it may print nothing. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from orchestrator.facts.runs import LONGEST_S, TimeLimit

if TYPE_CHECKING:
    from collections.abc import Mapping

LEAST_S = 24 * 3600
"""A large model may need hours until it is loaded, and an accuracy test reads the whole data set."""
TIMES = 20
"""How many times its least duration a test may take: LoadGen goes on until it has queries enough."""
TIMES_QUERIES = 2
"""How many times what its least number of queries takes at the rate, or the latency, that is expected."""
SILENCE_S = 2 * 3600
"""Our own harness tells of each step forward; weights of 400 GB are read before that."""


def time_limit(loadgen: Mapping[str, object], asked_s: int | None, *, is_ours: bool) -> TimeLimit:
    """The limit of a test with these settings of LoadGen: what the command line says, else far above what it needs.

    What the command line says is the limit of silence too, so that a test may be given more of both. A program of
    somebody else may be silent as long as it likes.
    """
    if asked_s is not None:
        return TimeLimit(total_s=asked_s, silence_s=asked_s if is_ours else None, source="command line")
    least = loadgen.get("min_duration_ms")
    seconds = least // 1000 if isinstance(least, int) else 0
    total = LEAST_S + TIMES * seconds + TIMES_QUERIES * _queries_s(loadgen)
    return TimeLimit(total_s=total, silence_s=SILENCE_S if is_ours else None)


def _queries_s(loadgen: Mapping[str, object]) -> int:
    """The seconds that the least number of queries needs; 0 where neither a rate nor a latency is known beforehand."""
    count, rate, latency_ns = (loadgen.get(name) for name in ("min_query_count", "target_qps", "expected_latency_ns"))
    if not isinstance(count, int):
        return 0
    at_rate = count / rate if isinstance(rate, int | float) and rate > 0 else 0.0
    one_by_one = count * latency_ns / 1e9 if isinstance(latency_ns, int) else 0.0
    return math.ceil(min(max(at_rate, one_by_one), LONGEST_S))
