"""Search the highest Server rate that is VALID, with few tests; pure but for the probe."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 1.3
"""The first factor of the coarse phase; each further one is the square of the last (1.3, 1.7, 2.9, 8.2)."""
TOLERANCE = 1.03
"""The fine phase ends when the least invalid rate is within 3 % of the greatest valid one."""
MAX_PROBES = 12
CONFIRMATIONS = 3
"""How often the found rate is tested again, each time 3 % lower, before the search gives up."""


@dataclass(slots=True)
class Search:
    """The state of one search: ``valid`` and ``invalid`` are queries a second, in the order of their tests."""

    probe: Callable[[float], bool]
    valid: list[float] = field(default_factory=list)
    invalid: list[float] = field(default_factory=list)

    def run(self, start: float, *, start_valid: bool | None = None) -> float | None:
        """The highest rate that was VALID twice, None when there was none.

        First up (or down) in growing steps until the verdict changes, then bisection in the
        geometric middle, then a second test of the best, as one verdict near the edge
        may be luck; at most `MAX_PROBES` tests before that. ``start_valid`` is the
        verdict on ``start`` when that was tested already.
        """
        rate = start
        good = self._test(rate) if start_valid is None else self._note(rate, good=start_valid)
        step = STEP
        while self._left() and not (self.valid and self.invalid):
            rate = rate * step if good else rate / step
            good = self._test(rate)
            step **= 2
        while self.valid and self.invalid and self._worst() / self._best() > TOLERANCE and self._left():
            self._test(math.sqrt(self._best() * self._worst()))
        return self._confirmed() if self.valid else None

    def _confirmed(self) -> float | None:
        rate = self._best()
        for _ in range(CONFIRMATIONS):
            if self.probe(rate):
                return rate
            rate /= TOLERANCE
        return None

    def _best(self) -> float:
        """The highest valid rate below every invalid one: above an invalid rate a verdict was luck."""
        return max((rate for rate in self.valid if rate < self._worst()), default=min(self.valid))

    def _worst(self) -> float:
        return min(self.invalid, default=math.inf)

    def _left(self) -> bool:
        return len(self.valid) + len(self.invalid) < MAX_PROBES

    def _test(self, rate: float) -> bool:
        return self._note(rate, good=self.probe(rate))

    def _note(self, rate: float, *, good: bool) -> bool:
        (self.valid if good else self.invalid).append(rate)
        return good
