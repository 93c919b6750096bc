"""Latencies as this side of LoadGen sees them, kept for a histogram (docs/run-contract.md).

One array of integers a worker, appended to and nothing else while the test runs;
the sorting into buckets happens afterwards.
"""

from __future__ import annotations

import json
import time
from array import array
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

FILE = "latency_histogram.json"
BUCKETS_PER_DECADE = 100


class Latencies:
    """Pairs of nanoseconds and how many samples they stand for, one writer a slot."""

    def __init__(self, slots: int) -> None:
        self._pairs = [array("q") for _ in range(slots)]

    def add(self, slot: int, since_ns: int, count: int = 1) -> None:
        """``count`` samples or queries that were issued at ``since_ns`` (perf_counter_ns) are answered now."""
        self._pairs[slot].extend((time.perf_counter_ns() - since_ns, count))

    def write(self, folder: Path, *, of: str) -> None:
        """The histogram, where anything was counted."""
        pairs = np.concatenate([np.frombuffer(each, np.int64) for each in self._pairs if each] or [np.zeros(0, "q")])
        if not len(pairs):
            return
        latencies, counts = np.maximum(pairs[0::2], 1), pairs[1::2]
        buckets = np.floor(np.log10(latencies) * BUCKETS_PER_DECADE).astype(np.int64)
        first = int(buckets.min())
        histogram = np.bincount(buckets - first, weights=counts).astype(np.int64)
        document = {
            "version": 1,
            "unit": "ns",
            "of": of,
            "samples": int(counts.sum()),
            "buckets_per_decade": BUCKETS_PER_DECADE,
            "first": first,
            "counts": histogram.tolist(),
        }
        (folder / FILE).write_text(json.dumps(document) + "\n")
