"""What is measured: a line for each metric, and how numbers read in the unit of each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

AccuracyName = Literal["top1"]
"""The accuracies that the harness can count; `harness/accuracy.py` has the same names."""
LATENCIES = ("p50", "p90", "p97", "p99", "mean")
"""The latencies that every document of a result has; others may stand beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricKind:
    """A number that LoadGen reports: ``key`` is what its log calls it."""

    name: str
    title: str
    unit: str
    key: str
    higher_is_better: bool = True
    zero_is_none: bool = False
    """Whether LoadGen writes 0 for what it could not estimate."""


METRICS: Mapping[str, MetricKind] = {
    kind.name: kind
    for kind in (
        MetricKind(
            name="samples_per_second",
            title="Samples per second",
            unit="samples/s",
            key="result_samples_per_second",
        ),
        MetricKind(
            name="completed_samples_per_second",
            title="Completed samples per second",
            unit="samples/s",
            key="result_completed_samples_per_sec",
        ),
        MetricKind(
            name="scheduled_samples_per_second",
            title="Scheduled samples per second",
            unit="samples/s",
            key="result_scheduled_samples_per_sec",
        ),
        MetricKind(
            name="queries_per_second",
            title="Queries per second",
            unit="queries/s",
            key="result_qps_with_loadgen_overhead",
        ),
        MetricKind(
            name="latency_p90_early_stopping",
            title="90th percentile latency (early-stopping estimate)",
            unit="ns",
            key="early_stopping_latency_ss",
            higher_is_better=False,
            zero_is_none=True,
        ),
        MetricKind(
            name="latency_p90",
            title="90th percentile latency (measured)",
            unit="ns",
            key="result_90.00_percentile_latency_ns",
            higher_is_better=False,
        ),
        MetricKind(
            name="latency_p99_early_stopping",
            title="99th percentile latency (early-stopping estimate)",
            unit="ns",
            key="early_stopping_latency_ms",  # of MultiStream, in ns
            higher_is_better=False,
            zero_is_none=True,
        ),
        MetricKind(
            name="latency_p99",
            title="99th percentile latency (measured)",
            unit="ns",
            key="result_99.00_percentile_per_query_latency_ns",
            higher_is_better=False,
        ),
    )
}


# -- for people ----------------------------------------------------------------------------


def number(value: float) -> str:
    """Four significant digits or all before the point: ``40,694``, ``494.6``, ``9.812``."""
    if value == 0:
        return "0"
    digits = max(0, 4 - len(str(int(abs(value)))))
    return f"{value:,.{digits}f}"


def nanoseconds(value: float) -> str:
    """A latency in the unit that suits it: ``812 ns``, ``459.1 µs``, ``12.35 ms``, ``1.341 s``."""
    for limit, scale, unit in ((1e3, 1, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
        if abs(value) < limit:
            return f"{number(value / scale)} {unit}"
    return f"{number(value / 1e9)} s"


def percent(value: float) -> str:
    """A fraction as a percentage: ``91.06 %``."""
    return f"{value * 100:.2f} %"


def _percentage(value: float) -> str:
    return f"{value:.2f} %"


_FORMATS: Mapping[str, Callable[[float], str]] = {"ns": nanoseconds, "fraction": percent, "%": _percentage}


def text(value: float | None, unit: str) -> str:
    """A number with its unit: ``2,275.1 samples/s``, ``459 µs``, ``91.06 %``; ``–`` for none."""
    if value is None:
        return "–"
    write = _FORMATS.get(unit)
    return write(value) if write is not None else f"{number(value)} {unit}"
