"""How far each cell is, by what the journal says and which results are there; how long the rest may take. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.campaigns.journal import DONE, FAILED, INVALID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.campaigns.journal import JournalLine

Kind = tuple[str, str, str]
LEFT, INTERRUPTED, IMPOSSIBLE, SAME = "left", "interrupted", "impossible", "same"
STATES = (DONE, INVALID, FAILED, INTERRUPTED, LEFT, IMPOSSIBLE, SAME)
"""``same``: the very test of another cell, which is made once."""
TO_RUN = frozenset((FAILED, INTERRUPTED, LEFT))
"""A result that does not count is a result: only who asks for it has it measured again."""


@dataclass(slots=True)
class History:
    """What the journal says of the cell with one key: how it ended last, and whether it began again after that."""

    end: JournalLine | None = None
    is_open: bool = False


def histories(lines: Iterable[JournalLine]) -> dict[str, History]:
    """By the cells' folders. A cell that ended well stays so, whatever began after it."""
    found: dict[str, History] = {}
    for line in lines:
        known = found.get(line.folder)
        if known is None:
            known = found[line.folder] = History()
        if not line.outcome:
            known.is_open = True
        elif known.end is None or known.end.outcome != DONE:
            known.end, known.is_open = line, False
        else:
            known.is_open = False
    return found


def state_of(history: History | None, *, is_there: bool) -> str:
    """How far a cell is; ``is_there`` says whether its folder of results is."""
    if history is None or not is_there:
        return LEFT
    if history.end is not None and history.end.outcome in {DONE, INVALID}:
        return history.end.outcome
    if history.is_open:
        return INTERRUPTED
    return LEFT if history.end is None else FAILED


def last_ends(lines: Iterable[JournalLine]) -> dict[str, JournalLine]:
    """The last result that counts at each place of the matrix, under whatever key."""
    return {line.place: line for line in lines if line.outcome == DONE}


class Pace:
    """How long cells took, by what takes about as long (benchmark, scenario and mode): what the rest may take."""

    def __init__(self) -> None:
        self._took: dict[Kind, tuple[float, int]] = {}

    def add(self, kind: Kind, seconds: float) -> None:
        """A cell ended after so many seconds."""
        total, count = self._took.get(kind, (0.0, 0))
        self._took[kind] = (total + seconds, count + 1)

    def left(self, rest: Mapping[Kind, int]) -> float | None:
        """The seconds that the ``rest`` may take, so many cells of each kind: each as long as those like it took, else
        as those of all kinds. None where nothing has ended yet."""
        count = sum(number for _, number in self._took.values())
        if not count:
            return None
        mean = {kind: total / number for kind, (total, number) in self._took.items()}
        other = sum(total for total, _ in self._took.values()) / count
        return sum(number * mean.get(kind, other) for kind, number in rest.items())
