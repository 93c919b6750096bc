"""`accuracy.txt` of the reference programs' scorers: where each metric's figure stands, and the log's hash. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.facts.patterns import compiled

if TYPE_CHECKING:
    from collections.abc import Mapping

_HASH = re.compile(rb"^hash=(\w+)$", re.MULTILINE)


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
    """The figures of some metrics; ``lines`` has for each the pattern (`facts.patterns`) that its line begins with."""
    data = "\n".join(text.splitlines()).encode()
    figures: list[Figure] = []
    for metric, pattern in lines.items():
        line, counted = 1, 0
        for match in compiled(f"(?m)^(?:{pattern})").finditer(data):
            begin, end = match.span(1)
            line += data.count(b"\n", counted, match.start())  # on from the last: a file may be nothing but figures
            counted = match.start()
            if b"\n" not in data[match.start() : end]:  # white space of a pattern may reach into the next line
                figures.append(Figure(line, metric, data[begin:end].decode()))
    figures.sort(key=lambda figure: figure.line)  # in a line, the order of the metrics stays
    found = [(match.group(1), match.start()) for match in _HASH.finditer(data)]
    if not found:
        return AccuracyText(tuple(figures))
    return AccuracyText(tuple(figures), found[-1][0].decode(), data.count(b"\n", 0, found[0][1]) + 1)
