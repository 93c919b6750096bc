"""Search the lines that a program printed for the patterns of its recipe, in a bounded time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from orchestrator.facts.patterns import PatternError, compiled

LONGEST_LINE = 16_384
"""Characters of a line that are searched."""
SLOWEST_LINE_S = 2.0
"""Processor seconds that a pattern may take for one line; ordinary ones need microseconds."""


@dataclass(slots=True)
class LineSearch:
    """Searches lines for patterns; ``limit_s`` is how many processor seconds all searches may take together."""

    limit_s: float | None = None
    _spent_s: float = 0.0

    def has(self, pattern: str, line: str) -> bool:
        """Whether the pattern is anywhere in the line; raises `PatternError`."""
        return self._search(pattern, line) is not None

    def group(self, pattern: str, line: str) -> str | None:
        """What the first group of the pattern is in the line, if it is there; raises `PatternError`."""
        found = self._search(pattern, line)
        if found is None or found.re.groups < 1 or found.group(1) is None:
            return None
        text: str = found.group(1).decode()
        return text

    def _search(self, pattern: str, line: str) -> Any:
        expression = compiled(pattern)
        started = time.thread_time()
        found = expression.search(line[:LONGEST_LINE].encode(errors="replace"))
        took = time.thread_time() - started
        self._spent_s += took
        if took > SLOWEST_LINE_S or (self.limit_s is not None and self._spent_s > self.limit_s):
            raise PatternError(
                f"the pattern `{pattern[:80]}` takes too long to search: {took:.1f} s for a line of "
                f"{min(len(line), LONGEST_LINE):,} characters, {self._spent_s:.0f} s for all lines so far"
            )
        return found
