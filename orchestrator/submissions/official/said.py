"""What an official checker said: its log line by line as it comes, and its summary. Both are input. Pure."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.facts.neutral import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_ERRORS = 20_000
MOST_SUMMARY = 256 << 20
_LONGEST = 2000
_TAIL = 20
_LINE = re.compile(r"\[[^\]]{1,120} (ERROR|CRITICAL|WARNING|INFO|DEBUG)\] (.*)")
_NO_RESULTS = "NoResults "
_VERDICT = "SUMMARY: "
ENDED = (0, 1)
"""Exit statuses of a check that came to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an official checker said of a tree, its paths as ours are.

    ``rows`` are of its summary by column; None where there is none, or none that can be read: ``why`` says it.
    """

    exit_code: int
    rows: tuple[dict[str, str], ...] | None
    refused: frozenset[str]
    errors: tuple[str, ...]
    more_errors: int = 0
    tail: tuple[str, ...] = ()
    why: str = ""

    @property
    def ended(self) -> bool:
        """Whether it came to its end: one that dies leaves 1 as well, and a summary that it had begun."""
        return self.exit_code in ENDED and not self.why

    @property
    def good(self) -> bool:
        """Whether nothing is refused, by its own words."""
        return self.ended and self.exit_code == 0


@dataclass(slots=True)
class Listener:
    """Takes the log in. ``depth`` is how many folders a result lies deep."""

    depth: int
    errors: list[str] = field(default_factory=list)
    more: int = 0
    refused: set[str] = field(default_factory=set)
    verdict: bool = False
    """Whether it said one of the whole tree, which comes last."""
    tail: list[str] = field(default_factory=list)

    def line(self, raw: str) -> None:
        """One line."""
        text = one_line(raw.rstrip("\r\n")[:_LONGEST])
        self.tail = [*self.tail[1 - _TAIL :], text]
        found = _LINE.fullmatch(text)
        if found is not None and found[2].startswith(_VERDICT):
            self.verdict = True
            return
        if found is None or found[1] not in {"ERROR", "CRITICAL"}:
            return
        message = found[2]
        if len(self.errors) + len(self.refused) >= MOST_ERRORS:
            self.more += 1
        elif message.startswith(_NO_RESULTS):
            self.refused.add(place_of(message.removeprefix(_NO_RESULTS), self.depth))
        else:
            self.errors.append(message.removeprefix("./"))

    def said(self, exit_code: int, summary: str | None, why: str = "") -> Said:
        """All of it, with the text of the summary."""
        rows = None
        if not self.verdict:
            why = why or "it says no verdict"
        elif summary is not None:
            try:
                rows = rows_in(summary, self.depth)
            except ValueError as error:
                why = str(error)
        return Said(
            exit_code=exit_code,
            rows=rows,
            refused=frozenset(self.refused),
            errors=tuple(self.errors),
            more_errors=self.more,
            tail=tuple(self.tail),
            why=why,
        )


def place_of(path: str, depth: int) -> str:
    """The place of a result, or of what holds results, without dots and without the files of the result."""
    parts = [part for part in path.strip().split("/") if part not in {"", "."}]
    return "/".join(parts[:depth])


def rows_in(text: str, depth: int) -> tuple[dict[str, str], ...]:
    """The rows of a summary by column, each with the folder of its result; raises ValueError for what is none."""
    try:
        lines = list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise ValueError(f"its summary cannot be read: {error}") from None
    if not lines or "Location" not in lines[0]:
        raise ValueError("its summary does not begin as one")
    return tuple(_row(lines[0], line, depth) for line in lines[1:])


def _row(columns: Sequence[str], values: Sequence[str], depth: int) -> dict[str, str]:
    """A row; what a quote within a field made too many is kept, so that it is seen."""
    row = dict(zip(columns, values, strict=False))
    row["Location"] = place_of(row.get("Location", ""), depth)  # some name a folder of the result
    if len(values) != len(columns):
        row["(values)"] = str(len(values))
    return row
