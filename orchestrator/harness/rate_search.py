"""The rate of a Server test where nobody gave one: searched briefly before the test, so that no machine is understated.

A test at a careful share of what calibration measured was VALID and a third of what the machine can do. LoadGen
itself makes the tries here (`loadgen.probe`), short ones; which rates are tried and which one is taken is decided
without a clock.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from .scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .settings import Settings

SEARCH_SECONDS = 11.0
"""At most, and never longer than the test itself; a try that has begun is finished."""
TRY_SECONDS = 0.8
LONGEST_TRY = 2.5
TRY_QUERIES = 300
"""A try is as long as this many queries take, within these limits."""
LEAST_QUERIES = 100
"""With fewer in the longest try its 99th percentile says nothing: then the rate stays a guess, and is told as one."""
CAREFUL = 0.5
"""Of what a server answered that kept up with no try."""
LIMIT_SHARE = 0.5
"""Of the latency limit: what a queue that grows by 5 % of the rate reaches in the shortest try, at 100 ms."""
KEPT_UP = 0.97
"""Of the queries that came in a try, answered at the same pace; fewer is a server whose queue grows."""
FIRST = 2.0
"""How many times the guess is tried first (`effective.SERVER_SHARE`): just below what calibration measured."""
CLOSE = 1.05
STEP = 1.35
DOWN = 1.6
MARGIN = 0.92
"""Of the highest rate that a try kept up with: a test is longer than a try, and its load never the mean."""
CONFIRM_SECONDS = 3.0
"""The rate that was found is tried for longer once more, and a lower one where the server did not keep up."""
CONFIRMATIONS = 2
LOWER = 0.85


@dataclass(frozen=True)
class Try:
    """One short test: queries a second asked for and answered, and whether the percentile was within its limit."""

    rate: float
    answered: float
    in_time: bool

    @property
    def saturated(self) -> bool:
        """The queue grew: what was answered a second is what the server can do."""
        return self.answered < KEPT_UP * self.rate

    @property
    def good(self) -> bool:
        return self.in_time and not self.saturated


@dataclass
class Found:
    """What a search tried, the highest rate that was good (None: none was) and why it ended."""

    tries: list[Try] = field(default_factory=list)
    best: float | None = None
    ended: str = ""
    margin: float = MARGIN

    @property
    def rate(self) -> float | None:
        """What the test is driven with."""
        return None if self.best is None else self.best * self.margin

    def careful(self, guess: float) -> float:
        """``guess``, or less where every try was bad: a share of what the server answered then."""
        if self.best is not None or not self.tries:
            return guess
        return min(guess, *(CAREFUL * one.answered for one in self.tries if one.answered))

    def document(self) -> dict[str, object]:
        """For harness.json."""
        tries = [{**asdict(one), "saturated": one.saturated} for one in self.tries]
        return {"tries": tries, "best": self.best, "margin": round(self.margin, 3), "ended": self.ended}


def wanted(settings: Settings) -> bool:
    """Whether the test has a rate that nobody gave; of tokens each answer takes too long for short tries."""
    at_a_rate = SCENARIOS[settings.scenario].at_a_rate and settings.mode == "performance"
    return at_a_rate and settings.generation is None and settings.loadgen.target_qps is None


def seconds_for(rate: float) -> float:
    """How long a try at a rate lasts."""
    return min(max(TRY_SECONDS, TRY_QUERIES / rate), LONGEST_TRY)


def search(start: float, attempt: Callable[[float, float], Try], left: Callable[[], float]) -> Found:
    """Up from ``start`` in steps until the server is late, then between the highest good rate and the lowest bad one.

    ``attempt`` makes a try of so many seconds at a rate. A server that is saturated told what it can do, so the next
    try is just below that. A try that was late without being saturated, or answered less than an earlier one did, may
    have met other load on the machine: it is repeated once before it counts.
    """
    found, low, high, rate = Found(), 0.0, math.inf, start
    while True:
        if high / low <= CLOSE if low else False:
            found.ended = f"within {CLOSE - 1:.0%}"
            return found
        if rate * LONGEST_TRY < LEAST_QUERIES:
            found.ended = "too few queries a second for short tries"
            return found
        if left() < seconds_for(rate):
            found.ended = "the time was over"
            return found
        tried = _tried(rate, attempt, left, found)
        if tried.good:
            low = found.best = max(low, rate)
        else:
            high = min(high, rate)
        rate = _next(tried, low, high)


def confirm(found: Found, attempt: Callable[[float, float], Try], seconds: float) -> None:
    """Longer tries at the rate that the test would have, lower ones while the server does not keep up.

    ``seconds``: how long one lasts. Each is one more of the tries that ``found`` has; its margin grows with each that
    is not good.
    """
    for _ in range(CONFIRMATIONS):
        if found.rate is None or found.rate * seconds < LEAST_QUERIES:
            return
        tried = attempt(found.rate, seconds)
        found.tries.append(tried)
        if tried.good:
            return
        found.margin *= LOWER


def _tried(rate: float, attempt: Callable[[float, float], Try], left: Callable[[], float], found: Found) -> Try:
    tried = attempt(rate, seconds_for(rate))
    found.tries.append(tried)
    doubtful = not tried.good and (not tried.saturated or tried.answered < (found.best or 0.0))
    if doubtful and left() >= seconds_for(rate):
        tried = attempt(rate, seconds_for(rate))
        found.tries.append(tried)
    return tried


def _next(tried: Try, low: float, high: float) -> float:
    """The rate to try after ``tried``."""
    if high == math.inf:
        return tried.rate * STEP
    below = tried.answered * KEPT_UP if tried.saturated else high / DOWN
    if not low:
        return min(below, high / CLOSE)
    if tried.saturated and low * CLOSE < below < high / CLOSE:
        return below
    return math.sqrt(low * high)
