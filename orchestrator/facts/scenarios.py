"""MLPerf's scenarios: everything that mlorch knows of one stands in its line of this table.

The harness, which imports nothing of this, has a table of its own (`harness/scenarios.py`);
`tests/unit/test_tables.py` holds the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

ScenarioName = Literal["Offline", "Server", "Interactive", "SingleStream", "MultiStream"]
"""As MLPerf spells them; LoadGen's `TestScenario` has the same names but for Interactive."""


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
    loadgen: str = ""
    """What LoadGen calls it, where that is another name."""

    @property
    def loadgen_name(self) -> str:
        return self.loadgen or self.name

    @property
    def has_rate(self) -> bool:
        return bool(self.rate_title)


_AT_A_RATE = (
    "completed_tokens_per_second",
    "completed_samples_per_second",
    "scheduled_samples_per_second",
    "ttft_p99",
    "tpot_p99",
)
SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="Offline",
            metrics=("tokens_per_second", "samples_per_second"),
            latency_of="from the issue of the one query until a sample completed",
            min_queries=1,
            rate_title="Expected rate",
        ),
        Scenario(
            name="Server",
            metrics=_AT_A_RATE,
            latency_of="per sample, from its scheduled arrival",
            min_queries=662,
            percentile=0.99,
            rate_title="Target rate",
            has_latency_limit=True,
            has_searched_rate=True,
        ),
        Scenario(  # Server with narrower limits of the first token and of each later one
            name="Interactive",
            metrics=_AT_A_RATE,
            latency_of="per sample, from its scheduled arrival",
            min_queries=662,
            percentile=0.99,
            rate_title="Target rate",
            has_latency_limit=True,
            has_searched_rate=True,
            loadgen="Server",
        ),
        Scenario(
            name="SingleStream",
            metrics=(
                "latency_p90_early_stopping",
                "latency_p90",
                "queries_per_second",
                "completed_tokens_per_second",
                "ttft_p90_early_stopping",
                "ttft_p99",
                "tpot_p99",
            ),
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
