"""What a run measured, as its record keeps it: LoadGen's figures, the accuracy, and the verdict with its reasons."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number, what it is and its unit (``samples/s``, ``ns``)."""

    name: str
    title: str
    value: float
    unit: str
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """A figure of accuracy over ``samples``; ``minimum`` and ``maximum`` are the goal, if any.

    ``value`` is a share of right answers, between 0 and 1, unless ``unit`` is empty: then it is a number as its
    program said it. ``interval`` are the ends of its 95 % interval, on the same scale, where somebody counted it.
    """

    name: str
    value: float
    samples: int
    minimum: float | None = None
    maximum: float | None = None
    unit: str = "fraction"
    interval: tuple[float, float] | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.minimum is None:
            return None
        return self.value >= self.minimum and (self.maximum is None or self.value <= self.maximum)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadGenResult:
    """One LoadGen test.

    ``validity`` is ``VALID`` or ``INVALID`` in performance mode, None in accuracy
    mode, where LoadGen gives no verdict. ``metrics[0]`` is the scenario's result;
    ``latency_ns`` maps min, p50 … p99.9, max, mean to nanoseconds, per query in
    MultiStream and SingleStream, per sample in Server, and in Offline the time from
    the issue of the one query. ``effective`` are the settings that LoadGen says it used.
    """

    scenario: str
    mode: str
    validity: str | None
    reasons: tuple[str, ...] = ()
    early_stopping: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    latency_ns: Mapping[str, int] = field(default_factory=dict)
    query_count: int = 0
    samples_per_query: int = 1
    effective: Mapping[str, object] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    num_errors: int = 0
    loadgen_version: str = ""
    token_latency_ns: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Where tokens were timed: ``ttft`` and ``tpot``, each as ``latency_ns``; without it in older records."""
    total_samples: int | None = None
    """How many samples the program told LoadGen that the data set has; None where the log does not say."""

    @property
    def valid(self) -> bool | None:
        """The verdict as a tri-state."""
        return None if self.validity is None else self.validity == "VALID"

    @property
    def error_count(self) -> int:
        """How many errors LoadGen logged; MLPerf's checker takes no test that has one, whatever its verdict."""
        return max(self.num_errors, len(self.errors))

    @property
    def result(self) -> Metric | None:
        """The number that the scenario is about; None in accuracy mode."""
        return self.metrics[0] if self.metrics else None

    @property
    def rate(self) -> float | None:
        """Samples a second, where the scenario has a rate; beside it, tokens may be what the result counts."""
        return next((one.value for one in self.metrics if one.unit == "samples/s"), None)

    @property
    def sample_count(self) -> int:
        return self.query_count * self.samples_per_query


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What a client of so many ``processes`` reached a second against a server that answers at once.

    It was measured just before its test, or a while ago with the same image and processors.
    """

    requests_per_s: float
    tokens_per_s: float
    processes: int | None = None
    unix_ns: int = 0
    """When it was measured; 0 where nobody said."""


NEAR = 0.8
"""From this share of its ceiling on, a client may be what was measured and not the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the files of a run held when it ended, read once.

    ``verdict`` is VALID or INVALID, for an accuracy PASSED, FAILED or (without a goal) MEASURED,
    and NO RESULT where the files hold none; ``reasons`` say why it is not a good one.
    """

    verdict: str
    reasons: tuple[str, ...] = ()
    loadgen: LoadGenResult | None = None
    accuracy: Accuracy | None = None
    other_accuracies: tuple[Accuracy, ...] = ()
    """Further figures that the accuracy step of an external harness said, each with its goal if it has one."""
    ceiling: Ceiling | None = None
    """Of the client, in a run of several containers."""

    @property
    def share_of_ceiling(self) -> float | None:
        """How near the result comes to what the client itself can do: 1 is all of it. None where it is not known."""
        if self.ceiling is None or self.loadgen is None:
            return None
        tokens = [one.value for one in self.loadgen.metrics if one.unit == "tokens/s"]
        shares = []
        if self.loadgen.rate is not None and self.ceiling.requests_per_s > 0:
            shares.append(self.loadgen.rate / self.ceiling.requests_per_s)
        if tokens and self.ceiling.tokens_per_s > 0:
            shares.append(max(tokens) / self.ceiling.tokens_per_s)
        return max(shares, default=None)

    @property
    def accuracies(self) -> tuple[Accuracy, ...]:
        """Every figure of accuracy, the one that names the run's accuracy first."""
        return () if self.accuracy is None else (self.accuracy, *self.other_accuracies)


GOOD_VERDICTS = frozenset({"VALID", "PASSED", "MEASURED"})
"""The verdicts of results that count."""
