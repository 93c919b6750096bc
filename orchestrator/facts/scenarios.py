"""MLPerf's scenarios: everything that mlorch knows of one stands in its line of this table.

The harness, which imports nothing of this, has a table of its own (`harness/scenarios.py`);
`tests/unit/test_tables.py` holds the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

ScenarioName = Literal["Offline", "Server", "SingleStream", "MultiStream"]
"""As LoadGen's `TestScenario` spells them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What a scenario is.

    ``metrics`` are names of `facts.metrics`: the first one that LoadGen reports is the scenario's result.
    """

    name: ScenarioName
    metrics: tuple[str, ...]
    latency_of: str
    """What a latency is counted from and to, for people."""
    min_queries: int
    """The least number of queries of a performance test by default; a round says that of an official one."""
    percentile: float | None = None
    """The percentile of latency that decides, if one does."""
    samples_per_query: int | None = None
    """The default, where a setting of that name makes sense."""
    rate_title: str = ""
    """What `target_qps` is called for people; empty where LoadGen expects a latency, not a rate."""
    has_latency_limit: bool = False
    has_searched_rate: bool = False
    """Whether the highest valid rate can be searched, and halved where the harness guessed too much."""
    latency_per_query: bool = False
    """Whether LoadGen's keys of latencies say `per query`."""

    @property
    def has_rate(self) -> bool:
        return bool(self.rate_title)


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="Offline",
            metrics=("samples_per_second",),
            latency_of="from the issue of the one query until a sample completed",
            min_queries=1,
            rate_title="Expected rate",
        ),
        Scenario(
            name="Server",
            metrics=("completed_samples_per_second", "scheduled_samples_per_second"),
            latency_of="per sample, from its scheduled arrival",
            min_queries=662,
            percentile=0.99,
            rate_title="Target rate",
            has_latency_limit=True,
            has_searched_rate=True,
        ),
        Scenario(
            name="SingleStream",
            metrics=("latency_p90_early_stopping", "latency_p90", "queries_per_second"),
            latency_of="per query, one sample each",
            min_queries=64,
            percentile=0.9,
        ),
        Scenario(
            name="MultiStream",
            metrics=("latency_p99_early_stopping", "latency_p99"),
            latency_of="per query",
            min_queries=662,
            percentile=0.99,
            samples_per_query=8,
            latency_per_query=True,
        ),
    )
}
"""In the order in which tests run."""
assert tuple(SCENARIOS) == get_args(ScenarioName)
