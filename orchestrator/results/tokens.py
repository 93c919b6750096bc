"""Latencies of tokens as people compare them: percentiles beside the limit that the test was held to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.metrics import ALL_LATENCIES, TOKEN_LATENCIES, nanoseconds
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.facts.measured import LoadGenResult
    from orchestrator.facts.record import RunRecord
    from orchestrator.results.summary import Summary


COLUMNS = ("p50", "p90", "p97", "p99", "p99.9", "max", "mean")
"""What a report has room for beside the limits; `results show` has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """``values`` are ns by percentile, from the least to the most; the limit holds for ``percentile`` (``p99``)."""

    title: str
    values: Mapping[str, int]
    limit_ns: float | None = None
    percentile: str = ""

    @property
    def kept(self) -> bool | None:
        """Whether the limit was kept; None without one, or where LoadGen does not report that percentile."""
        if self.limit_ns is None or self.percentile not in self.values:
            return None
        return self.values[self.percentile] <= self.limit_ns

    @property
    def shown(self) -> tuple[int | None, ...]:
        """The values of `COLUMNS`; None for one that LoadGen did not report."""
        return tuple(self.values.get(name) for name in COLUMNS)

    @property
    def limit(self) -> str:
        """The limit in words: ``15.00 s at p90``."""
        if self.limit_ns is None:
            return "–"
        return f"{nanoseconds(self.limit_ns)} at {self.percentile}" if self.percentile else nanoseconds(self.limit_ns)


def token_rows(summary: Summary) -> tuple[TokenRow, ...]:
    """The first token and the later ones, where LoadGen timed them."""
    result = summary.loadgen
    if result is None:
        return ()
    percentile = _percentile(result)
    rows = []
    for name, kind in TOKEN_LATENCIES.items():
        found = result.token_latency_ns.get(name, {})
        values = {each: found[each] for each in ALL_LATENCIES if each in found}
        if values:
            limit = _limit(summary.record, kind.limit)
            rows.append(TokenRow(title=kind.title, values=values, limit_ns=limit, percentile=percentile))
    return tuple(rows)


def _percentile(result: LoadGenResult) -> str:
    share = result.effective.get("target_latency_percentile")
    return f"p{100 * share:g}" if isinstance(share, int | float) and 0 < share < 1 else ""


def _limit(record: RunRecord, name: str) -> float | None:
    """The limit in ns that the test was given, in a scenario that is held to one."""
    scenario, setting = SCENARIOS.get(record.scenario), record.settings.get(name)
    if scenario is None or not scenario.has_latency_limit or setting is None:
        return None
    value = setting.value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
