"""`accuracy.txt` of the reference programs' scorers: where each metric's figure stands, and the log's hash. Pure."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_HASH = re.compile(r"hash=(\w+)$")


class Figure(NamedTuple):
    """A figure as its text, and the line that it stands on (from 1)."""

    line: int
    metric: str
    text: str

    @property
    def value(self) -> float | None:
        """The figure; None where the text is no number (``1.2.3``)."""
        try:
            return float(self.text)
        except ValueError:
            return None


class AccuracyText(NamedTuple):
    """The figures in the order in which they stand, and the hash of the accuracy log; empty where there is none."""

    figures: tuple[Figure, ...]
    hash: str = ""
    hash_line: int = 0

    def last(self) -> dict[str, float]:
        """The last figure of each metric that is a number."""
        return {each.metric: each.value for each in self.figures if each.value is not None}


def parse_accuracy(text: str, lines: Mapping[str, str]) -> AccuracyText:
    """The figures of some metrics; ``lines`` has for each the expression that its line begins with."""
    figures: list[Figure] = []
    found, at = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        for metric, expression in lines.items():
            match = _compiled(expression).match(line)
            if match is not None:
                figures.append(Figure(number, metric, match.group(1)))
        match = _HASH.match(line)
        if match is not None:
            found, at = match.group(1), at or number
    return AccuracyText(tuple(figures), found, at)


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)
