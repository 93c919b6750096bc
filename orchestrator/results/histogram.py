"""The harness's latency histogram (docs/run-contract.md), read and coarsened for a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from orchestrator.host.untrusted import UnreadableFile, read_document

if TYPE_CHECKING:
    from pathlib import Path

FILE = "latency_histogram.json"
_LARGEST = 1 << 20
_MOST_BUCKETS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Latencies from ``low`` to ``high`` in nanoseconds and how many there were."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Log-spaced buckets; ``of`` is ``query`` or ``sample``."""

    of: str
    samples: int
    per_decade: int
    first: int
    counts: tuple[int, ...]

    def bars(self, most: int) -> tuple[Bar, ...]:
        """At most ``most`` bars of equal width on a log axis: neighbours are merged, never split."""
        step = max(1, -(-len(self.counts) // most))
        return tuple(
            Bar(
                low=self._edge(self.first + start),
                high=self._edge(self.first + start + step),
                count=sum(self.counts[start : start + step]),
            )
            for start in range(0, len(self.counts), step)
        )

    def _edge(self, bucket: int) -> float:
        return float(10.0 ** (bucket / self.per_decade))


def read(folder: Path) -> Histogram | None:
    """The histogram in a run's folder; None where there is none or it is not one (it comes from inside)."""
    try:
        document = read_document(folder, FILE, _LARGEST)
    except UnreadableFile:
        return None
    return _checked(document)


def _checked(document: object) -> Histogram | None:
    if not isinstance(document, dict) or document.get("version") != 1 or document.get("unit") != "ns":
        return None
    counts = _counts(document.get("counts"))
    samples, per_decade, first = (document.get(name) for name in ("samples", "buckets_per_decade", "first"))
    if not (counts and _is_count(samples) and _is_count(per_decade) and _is_count(first)):
        return None
    # 10**18 ns are 30 years: beyond, the edges would overflow a float one day.
    if not 0 < per_decade <= 1000 or first + len(counts) > 18 * per_decade or sum(counts) != samples:
        return None
    of = "sample" if document.get("of") == "sample" else "query"
    return Histogram(of=of, samples=samples, per_decade=per_decade, first=first, counts=counts)


def _counts(value: object) -> tuple[int, ...]:
    """The counts of the buckets; none where it is no such list."""
    if not isinstance(value, list) or len(value) > _MOST_BUCKETS:
        return ()
    return tuple(value) if all(map(_is_count, value)) else ()


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and 0 <= value < 1 << 62
