"""The harness's latency histogram (docs/run-contract.md), read and coarsened for a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.codec import CodecError, from_plain
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
    """Log-spaced buckets, as the harness writes them; ``of`` is ``query`` or ``sample``."""

    version: int = 1
    unit: str = "ns"
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
        found = from_plain(Histogram, document, renamed={"buckets_per_decade": "per_decade"})
    except (UnreadableFile, CodecError):
        return None
    return found if _can_be(found) else None


def _can_be(found: Histogram) -> bool:
    if (found.version, found.unit) != (1, "ns") or found.of not in {"query", "sample"}:
        return False
    if not 0 < len(found.counts) <= _MOST_BUCKETS or min(found.counts) < 0:
        return False
    if sum(found.counts) != found.samples or found.samples >= 1 << 62:
        return False
    # 10**18 ns are 30 years: beyond, the edges would overflow a float one day.
    return 0 < found.per_decade <= 1000 and 0 <= found.first <= 18 * found.per_decade - len(found.counts)
