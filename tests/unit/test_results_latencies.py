"""What the harness counts is what the report can read; needs numpy, which only images have."""

from __future__ import annotations

import pytest

from orchestrator.results import histogram


def test_the_histogram_of_the_harness_is_read_with_every_sample_in_its_bucket(tmp_path, monkeypatch):
    pytest.importorskip("numpy")
    from orchestrator.harness import latencies

    now = 10**12
    monkeypatch.setattr(latencies.time, "perf_counter_ns", lambda: now)
    counted = latencies.Latencies(2)
    for slot, latency, count in ((0, 100_000, 1), (1, 1_000_000, 8), (0, 999_000, 3), (1, 0, 1)):
        counted.add(slot, now - latency, count)
    counted.write(tmp_path, of="sample")
    found = histogram.read(tmp_path)
    assert (found.of, found.samples, found.first) == ("sample", 13, 0)
    held = {found.first + k: count for k, count in enumerate(found.counts) if count}
    assert held == {0: 1, 500: 1, 599: 3, 600: 8}


def test_nothing_counted_writes_nothing(tmp_path):
    pytest.importorskip("numpy")
    from orchestrator.harness.latencies import Latencies

    Latencies(1).write(tmp_path, of="query")
    assert list(tmp_path.iterdir()) == []
