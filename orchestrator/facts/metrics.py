"""What is measured: a line for each metric, and how numbers read in the unit of each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LATENCIES = ("p50", "p90", "p97", "p99", "mean")
"""The latencies that every document of a result has; others may stand beside them."""
ALL_LATENCIES = ("min", "p50", "p90", "p95", "p97", "p99", "p99.9", "max", "mean")
"""All that LoadGen reports, as people read them."""


@dataclass(frozen=True, slots=True)
class MetricKind:
    """A number that LoadGen reports: ``key`` and ``summary`` are its names in the detail log and in the summary."""

    name: str
    title: str
    unit: str
    key: str
    summary: str = ""
    higher_is_better: bool = True
    zero_is_none: bool = False
    """Whether LoadGen writes 0 for what it could not estimate."""
    with_tokens: bool | None = None
    """Whether the key says this only in a test whose tokens were timed, or only in others; None where in both."""


METRICS: Mapping[str, MetricKind] = {
    kind.name: kind
    for kind in (
        MetricKind("samples_per_second", "Samples per second", "samples/s",
                   "result_samples_per_second", "samples per second"),
        MetricKind("completed_samples_per_second", "Completed samples per second", "samples/s",
                   "result_completed_samples_per_sec", "completed samples per second"),
        MetricKind("scheduled_samples_per_second", "Scheduled samples per second", "samples/s",
                   "result_scheduled_samples_per_sec", "scheduled samples per second"),
        MetricKind("queries_per_second", "Queries per second", "queries/s",
                   "result_qps_with_loadgen_overhead", "qps w/ loadgen overhead"),
        MetricKind("latency_p90_early_stopping", "90th percentile latency (early-stopping estimate)", "ns",
                   "early_stopping_latency_ss", "* early stopping 90.0th percentile estimate",
                   higher_is_better=False, zero_is_none=True, with_tokens=False),
        MetricKind("latency_p90", "90th percentile latency (measured)", "ns",
                   "result_90.00_percentile_latency_ns", "90.0th percentile latency (ns)",
                   higher_is_better=False),
        MetricKind("latency_p99_early_stopping", "99th percentile latency (early-stopping estimate)", "ns",
                   "early_stopping_latency_ms", "* early stopping 99.0th percentile estimate",  # of MultiStream, in ns
                   higher_is_better=False, zero_is_none=True),
        MetricKind("latency_p99", "99th percentile latency (measured)", "ns",
                   "result_99.00_percentile_per_query_latency_ns", "99.0th percentile latency (ns)",
                   higher_is_better=False),
        MetricKind("tokens_per_second", "Tokens per second", "tokens/s",
                   "result_tokens_per_second", "tokens per second"),
        MetricKind("completed_tokens_per_second", "Completed tokens per second", "tokens/s",
                   "result_completed_tokens_per_second", "completed tokens per second"),
        # The same key as that of whole queries: LoadGen writes there what it estimates of first tokens.
        MetricKind("ttft_p90_early_stopping", "90th percentile time to first token (early-stopping estimate)", "ns",
                   "early_stopping_latency_ss",
                   higher_is_better=False, zero_is_none=True, with_tokens=True),
        MetricKind("ttft_p99", "99th percentile time to first token (measured)", "ns",
                   "result_first_token_99.00_percentile_latency_ns", "99.00 percentile first token latency (ns)",
                   higher_is_better=False),
        MetricKind("tpot_p99", "99th percentile time per output token (measured)", "ns",
                   "result_time_per_output_token_99.00_percentile_ns", "99.00 percentile time to output token (ns)",
                   higher_is_better=False),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TokenLatency:
    """A latency of tokens: how LoadGen's keys of its percentiles and of its other figures read, and its limit's name.

    ``{}`` stands for the percentile (``99.00``), or for min, max or mean.
    """

    title: str
    percentile: str
    other: str
    limit: str


TOKEN_LATENCIES: Mapping[str, TokenLatency] = {
    "ttft": TokenLatency(
        "Time to first token", "result_first_token_{}_percentile_latency_ns", "result_first_token_{}_latency_ns",
        "loadgen.ttft_latency_ns",
    ),
    "tpot": TokenLatency(
        "Time per output token", "result_time_per_output_token_{}_percentile_ns", "result_time_to_output_token_{}",
        "loadgen.tpot_latency_ns",
    ),
}  # fmt: skip
"""By the short names that MLPerf has for them."""


# -- for people ----------------------------------------------------------------------------


def number(value: float) -> str:
    """Four significant digits or all before the point: ``40,694``, ``494.6``, ``9.812``."""
    if value == 0:
        return "0"
    digits = max(0, 4 - len(str(int(abs(value)))))
    return f"{value:,.{digits}f}"


def nanoseconds(value: float, write: Callable[[float], str] = number) -> str:
    """A latency in the unit that suits it: ``812 ns``, ``459.1 µs``, ``12.35 ms``, ``1.341 s``."""
    for limit, scale, unit in ((1e3, 1, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
        if abs(value) < limit:
            return f"{write(value / scale)} {unit}"
    return f"{write(value / 1e9)} s"


def percent(value: float) -> str:
    """A fraction as a percentage: ``91.06 %``."""
    return f"{value * 100:.2f} %"


_FORMATS: Mapping[str, Callable[[float], str]] = {"ns": nanoseconds, "fraction": percent, "%": "{:.2f} %".format}


def text(value: float | None, unit: str) -> str:
    """A number with its unit, if it has one: ``2,275.1 samples/s``, ``459 µs``, ``91.06 %``; ``–`` for none."""
    if value is None:
        return "–"
    if not unit:
        return number(value)
    write = _FORMATS.get(unit)
    return write(value) if write is not None else f"{number(value)} {unit}"
