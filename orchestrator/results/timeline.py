"""Latencies over the time of a test, as the harness counted them (docs/run-contract.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.codec import CodecError, from_plain
from orchestrator.host.untrusted import UnreadableFile, read_document

if TYPE_CHECKING:
    from pathlib import Path

FILE = "latency_timeline.json"
_LARGEST = 1 << 18
_MOST_STEPS = 1024
_LONGEST_NS = 10**18
"""30 years, of a latency or a whole test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Equal steps of time from the first issue on: how much was answered in each, and its latencies in ns.

    A step without answers has None. ``of`` is ``query`` or ``sample``.
    """

    version: int = 1
    unit: str = "ns"
    of: str
    samples: int
    step_ns: int
    counts: tuple[int, ...]
    p50: tuple[int | None, ...]
    p90: tuple[int | None, ...]
    p99: tuple[int | None, ...]
    max: tuple[int | None, ...]

    @property
    def seconds(self) -> float:
        """How long the test was, to the end of the last step."""
        return self.step_ns * len(self.counts) / 1e9


def read(folder: Path) -> Timeline | None:
    """The timeline in a run's folder; None where there is none or it is not one (it comes from inside)."""
    try:
        found = from_plain(Timeline, read_document(folder, FILE, _LARGEST))
    except (UnreadableFile, CodecError):
        return None
    return found if _can_be(found) else None


def _can_be(found: Timeline) -> bool:
    if (found.version, found.unit) != (1, "ns") or found.of not in {"query", "sample"}:
        return False
    steps = len(found.counts)
    if not 0 < steps <= _MOST_STEPS or not 0 < found.step_ns <= _LONGEST_NS // steps:
        return False
    if min(found.counts) < 0 or sum(found.counts) != found.samples or not 0 < found.samples < 1 << 62:
        return False
    columns = (found.p50, found.p90, found.p99, found.max)
    if any(len(column) != steps for column in columns):
        return False
    return all(map(_is_step, found.counts, *columns))


def _is_step(count: int, *latencies: int | None) -> bool:
    """Percentiles in their order where something was answered, nothing where nothing was."""
    known = [one for one in latencies if one is not None]
    if not count:
        return not known
    return len(known) == len(latencies) and known[0] > 0 and known == sorted(known) and known[-1] <= _LONGEST_NS
