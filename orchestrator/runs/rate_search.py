"""Search the highest rate that is VALID in Server and Interactive, with few tests; pure but for the probe."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.facts.record import RateTry

STEP = 1.3
"""The first factor of the coarse phase; each further one is the square of the last (1.3, 1.7, 2.9, 8.2)."""
TOLERANCE = 1.03
"""The fine phase ends when the least invalid rate is within 3 % of the greatest valid one."""
KEPT_UP = 0.97
"""A test that answered a smaller share of its queries than this at their pace had a queue that grew: saturated."""
LATE_END = 5
"""How many times the least latency the last answers may take where no queue grew: batches, and chance."""
JUST_BELOW = 0.975
MAX_PROBES = 12
CONFIRMATIONS = 4
LOWER = 1.05
"""After a test at the rate to be stored that was not VALID, the next is this much lower."""


@dataclass(slots=True)
class Search:
    """The state of one search: its ``tries`` in the order of their tests, rates in queries a second.

    ``probe`` gives what a test at a rate became.
    """

    probe: Callable[[float], RateTry]
    tries: list[RateTry] = field(default_factory=list)
    stopped: str = ""
    _repeated: set[int] = field(default_factory=set)
    """Of ``tries`` those that say nothing of the server, and were made again."""

    def run(self, start: float, *, first: RateTry | None = None) -> float | None:
        """The highest rate that was good below every one that was not, None when there was none.

        Good is what was VALID and let no queue grow: where a latency limit is longer than a test (seconds of an LLM),
        LoadGen calls a rate VALID at which a longer test is not.

        First up (or down) in growing steps until the verdict changes, then bisection in the geometric middle. A test
        that was saturated says what the server answers: no rate above that is tried, and the next is just below it.
        A test that was not VALID while other programs had its processors, or for errors that are not the rate's, says
        nothing of the server: it is made again, once. At most `MAX_PROBES` tests. ``first`` is the test at ``start``
        when that was made already.
        """
        tried = self._test(start) if first is None else self._judged(first)
        step = STEP
        while self._left() and (not self._good() or self._worst() == math.inf):
            tried = self._test(self._further(tried, step))
            step **= 2
        while self._good() and self._left():
            best, worst = self.best(), self._worst()
            if worst / best <= TOLERANCE:
                break
            told = worst not in self._bad()  # by a saturated server: the limit is just below that
            self._test(max(best, worst * JUST_BELOW) if told else math.sqrt(best * worst))
        self.stopped = self._why()
        return self.best() if self._good() else None

    def _further(self, last: RateTry, step: float) -> float:
        """The next rate of the coarse phase: up from a valid one, down from another."""
        if good(last):
            return last.rate * step
        if saturated(last):
            return min(last.rate / TOLERANCE, last.answered * JUST_BELOW)
        return last.rate / step

    def best(self) -> float:
        """The highest good rate below every other one: above an invalid rate a verdict was luck."""
        found, worst = self._good(), min(self._bad(), default=math.inf)
        return max((rate for rate in found if rate < worst), default=min(found))

    def _good(self) -> list[float]:
        return [one.rate for one in self.tries if good(one)]

    def _bad(self) -> list[float]:
        return [one.rate for one in self._counted() if not good(one)]

    def _counted(self) -> list[RateTry]:
        return [one for number, one in enumerate(self.tries) if number not in self._repeated]

    def _worst(self) -> float:
        """The least rate that cannot be: one that was not good, or what a saturated server answered.

        Of a saturated test that answered less than a valid one, the test was disturbed: it says nothing of the server.
        """
        worst = min(self._bad(), default=math.inf)
        best = self.best() if self._good() else 0.0
        able = [one.answered for one in self._counted() if saturated(one) and one.answered > best]
        return min([worst, *able])

    def _why(self) -> str:
        """Why there was no further test, in words for the record."""
        full = [one for one in self._counted() if saturated(one)]
        spoiled = [one.rate for one in self._counted() if one.spoiled]
        failed = [one.rate for one in self._counted() if not one.valid and not one.answered and not one.spoiled]
        if full:
            least = min(full, key=lambda one: one.rate)
            words = f"saturated: of {least.rate:,.1f} queries/s it answered {least.answered:,.1f}"
        elif failed:
            words = f"failed: at {min(failed):,.1f} queries/s the test did not come to its end"
        elif spoiled:
            words = f"spoiled: at {min(spoiled):,.1f} queries/s errors made the test INVALID, twice"
        else:
            words = "" if self._good() else "no test was VALID"
        if self._good() and self._worst() / self.best() <= TOLERANCE:
            return f"{words}; " * bool(words) + f"the next rate that is not VALID is within {TOLERANCE - 1:.0%}"
        return f"{words}; " * bool(words) + f"{len(self.tries)} tests were made"

    def _left(self) -> bool:
        return len(self.tries) < MAX_PROBES

    def _test(self, rate: float) -> RateTry:
        return self._judged(self.probe(rate))

    def _judged(self, tried: RateTry) -> RateTry:
        """``tried``, or the test that was made in its place."""
        self._note(tried)
        if good(tried) or not (tried.disturbed or tried.spoiled) or not self._left():
            return tried
        self._repeated.add(len(self.tries) - 1)
        return self._note(self.probe(tried.rate))

    def _note(self, tried: RateTry) -> RateTry:
        self.tries.append(tried)
        return tried


def good(tried: RateTry) -> bool:
    """Whether a test was VALID, and a longer one would be."""
    return tried.valid and not tried.queue_grew


def saturated(tried: RateTry) -> bool:
    """Whether the queue grew over the test: fewer queries were answered a second than came.

    Of a test that failed nobody knows what it answered.
    """
    return not good(tried) and 0 < tried.answered < KEPT_UP * tried.rate


def queue_grew(queries: int, scheduled: float, answered: float, least_s: float) -> bool:
    """Whether the answers to the last of ``queries`` came much later after them than the quickest answer did.

    ``scheduled`` and ``answered`` are LoadGen's queries a second until the last query and until the last answer;
    ``least_s`` is the least latency in seconds. False where one of them is not known.
    """
    if min(queries, scheduled, answered, least_s) <= 0:
        return False
    asking_s, answering_s = queries / scheduled, queries / answered
    return answering_s - asking_s > LATE_END * least_s + (1 - KEPT_UP) * asking_s


def with_margin(best: float, margin: float) -> list[float]:
    """The rates to confirm, in order: the first that is VALID is stored."""
    return [best * margin / LOWER**at for at in range(CONFIRMATIONS)]
