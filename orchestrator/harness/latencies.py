"""Latencies as this side of LoadGen sees them, kept for a histogram and over time (docs/run-contract.md).

One array of integers a worker, appended to and nothing else while the test runs;
the sorting into buckets happens afterwards.
"""

from __future__ import annotations

import json
import time
from array import array
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]

FILE = "latency_histogram.json"
TIMELINE = "latency_timeline.json"
BUCKETS_PER_DECADE = 100
STEPS = 160
"""Of the timeline: a screen shows no more of them apart."""
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


class Latencies:
    """When samples were issued and answered (perf_counter_ns), and how many at once; one writer a slot."""

    def __init__(self, slots: int) -> None:
        self._rows = [array("q") for _ in range(slots)]

    def add(self, slot: int, since_ns: int, count: int = 1) -> None:
        """``count`` samples or queries that were issued at ``since_ns`` (perf_counter_ns) are answered now."""
        self._rows[slot].extend((since_ns, time.perf_counter_ns(), count))

    def write(self, folder: Path, *, of: str) -> None:
        """The histogram and the timeline, where anything was counted."""
        rows = np.concatenate([np.frombuffer(each, np.int64) for each in self._rows if each] or [np.zeros(0, "q")])
        if not len(rows):
            return
        since, until, counts = rows[0::3], rows[1::3], rows[2::3]
        buckets = np.floor(np.log10(np.maximum(until - since, 1)) * BUCKETS_PER_DECADE).astype(np.int64)
        first = int(buckets.min())
        histogram = np.bincount(buckets - first, weights=counts).astype(np.int64)
        common = {"version": 1, "unit": "ns", "of": of, "samples": int(counts.sum())}
        buckets_of = {"buckets_per_decade": BUCKETS_PER_DECADE, "first": first, "counts": histogram.tolist()}
        timeline = _timeline(until - int(since.min()), buckets - first, first, counts)
        for name, part in ((FILE, buckets_of), (TIMELINE, timeline)):
            (folder / name).write_text(json.dumps(common | part) + "\n")


def _timeline(ended: Counts, buckets: Counts, first: int, counts: Counts) -> dict[str, Any]:
    """Percentiles of the latencies in equal steps of time, by when they were answered (ns after the first issue).

    They are the middles of the histogram's buckets, 2.3 % wide. A step in which nothing was answered has nulls.
    """
    step = max(1, -(-(int(ended.max()) + 1) // STEPS))
    width = int(buckets.max()) + 1
    steps = int(ended.max()) // step + 1
    cells = np.bincount(ended // step * width + buckets, weights=counts, minlength=steps * width)
    running = cells.astype(np.int64).reshape(steps, width).cumsum(axis=1)
    totals = running[:, -1]
    found: dict[str, Any] = {"step_ns": step, "counts": totals.tolist()}
    for name, share in SHARES.items():
        found[name] = _values(running, np.ceil(totals * share), first)
    found["max"] = _values(running, totals, first)
    return found


def _values(running: Counts, wanted: npt.NDArray[Any], first: int) -> list[int | None]:
    """Of each row the latency (ns) at which its running sum reaches what is wanted; None where it counts nothing."""
    places = (running >= np.maximum(wanted, 1)[:, None]).argmax(axis=1) + first
    latencies = np.rint(10 ** ((places + 0.5) / BUCKETS_PER_DECADE)).astype(np.int64).tolist()
    return [latency if total else None for latency, total in zip(latencies, running[:, -1].tolist(), strict=True)]
