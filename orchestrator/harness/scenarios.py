"""MLPerf's scenarios: how queries arrive, and what LoadGen's settings of each are called.

mlorch's own table is `facts/scenarios.py` there; a test holds what both say equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ScenarioName = Literal["Offline", "Server", "Interactive", "SingleStream", "MultiStream"]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """``prefix`` is how LoadGen's settings of the scenario begin, ``rate`` its setting of the rate, if it has one.

    ``loadgen`` is what LoadGen's `TestScenario` calls it, where that is another name.
    """

    name: ScenarioName
    arrival: Literal["all at once", "at a rate", "one by one"]
    prefix: str
    rate: str = ""
    percentile: float | None = None
    samples_per_query: int | None = None
    """The default, where it can be set; else a query is one sample (in Offline: all of them)."""
    loadgen: str = ""

    @property
    def loadgen_name(self) -> str:
        return self.loadgen or self.name

    @property
    def one_by_one(self) -> bool:
        """The next query comes when the last one is answered: LoadGen expects a latency, not a rate."""
        return self.arrival == "one by one"

    @property
    def at_a_rate(self) -> bool:
        """Queries come whether or not the last one is answered, and each has a latency to keep."""
        return self.arrival == "at a rate"


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="Offline", arrival="all at once", prefix="offline", rate="offline_expected_qps"),
        Scenario(name="Server", arrival="at a rate", prefix="server", rate="server_target_qps", percentile=0.99),
        Scenario(
            name="Interactive",
            arrival="at a rate",
            prefix="server",
            rate="server_target_qps",
            percentile=0.99,
            loadgen="Server",
        ),
        Scenario(name="SingleStream", arrival="one by one", prefix="single_stream", percentile=0.9),
        Scenario(name="MultiStream", arrival="one by one", prefix="multi_stream", percentile=0.99, samples_per_query=8),
    )
}
