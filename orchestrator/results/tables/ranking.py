"""What is asked of the store: the best results of a benchmark, those that fit a condition, those of a system. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.results.tables.inference import scenario_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ALL = "all"
PER = {"": "result", "accelerator": "per_accelerator", "watt": "per_watt"}
"""What a ranking is by, and its column."""
LISTED = (
    *("key", "round", "division", "organization", "system", "benchmark", "scenario", "result", "unit", "accelerator"),
    *("accelerators", "power", "power_unit", "accuracy", "accuracy_metric", "valid", "inferred"),
)
_SUITES = ("inference", "training", "tiny", "run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Which results are ranked, and by what."""

    benchmark: str
    scenario: str = ""
    per: str = ""
    round: str = ""
    """One round, `all`, or empty: the newest one that has the benchmark."""
    division: str = "closed"
    category: str = ""
    number: int = 10


@dataclass(slots=True)
class Question:
    """A query and the values of its marks."""

    sql: str
    values: list[Any] = field(default_factory=list)


BENCHMARKS = "SELECT benchmark, suite, round, count(result) AS results FROM results GROUP BY ALL ORDER BY ALL"
"""What the store has results of."""


def newest(found: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """The suite and round that is meant where nobody names one: of MLPerf Inference where it has the benchmark."""
    return min(found, key=lambda one: (_SUITES.index(one[0]), [-part for part in _version(one[1])]))


def _version(name: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d{1,18}", name)[:4]]


def best_question(ranking: Ranking, suite: str, round_name: str) -> Question:
    """The places (`numbered`) of the best of each scenario; results in different units are never ranked together."""
    column = PER[ranking.per]
    conditions = ["benchmark = ?", "result IS NOT NULL", f"{column} IS NOT NULL", "valid IS TRUE"]
    values: list[Any] = [ranking.benchmark]
    _add(conditions, values, "suite", suite)
    named = (("round", round_name), ("division", ranking.division.lower()), ("scenario", scenario_of(ranking.scenario)))
    for name, value in named:
        if value and value != ALL:
            _add(conditions, values, name, value)
    if ranking.category:
        conditions.append("datacenter" if ranking.category == "datacenter" else "edge")
    return Question(
        f"SELECT unnest(arg_min(file_row_number, ({_order(ranking)}, file_row_number), {ranking.number})) AS place "
        f"FROM numbered WHERE {' AND '.join(conditions)} GROUP BY scenario, unit",
        values,
    )


def top_question(ranking: Ranking, places: Sequence[int]) -> Question:
    """The results in these places, with their ranks."""
    some = ", ".join(str(int(place)) for place in places)
    return Question(
        f"SELECT scenario, unit, rank() OVER best AS rank, {PER[ranking.per]} AS value, result, higher_is_better, key, "
        "round, division, availability, organization, system, platform, accelerator, accelerators, nodes, processor, "
        "power, power_unit, accuracy, accuracy_metric, inferred, changed, location, source, source_row "
        f"FROM numbered WHERE file_row_number IN ({some}) "
        f"WINDOW best AS (PARTITION BY scenario, unit ORDER BY {_order(ranking)}) ORDER BY scenario, unit, rank, key"
    )


def scenarios_question(benchmark: str, suite: str, round_name: str) -> Question:
    """The divisions that have results of a benchmark that count, each with its scenarios as one text."""
    conditions = ["benchmark = ?", "result IS NOT NULL", "valid IS TRUE"]
    values: list[Any] = [benchmark]
    _add(conditions, values, "suite", suite)
    if round_name != ALL:
        _add(conditions, values, "round", round_name)
    return Question(
        "SELECT division, string_agg(DISTINCT coalesce(scenario, '–'), ', ' ORDER BY coalesce(scenario, '–')) "
        f"FROM results WHERE {' AND '.join(conditions)} GROUP BY division ORDER BY division",
        values,
    )


def _order(ranking: Ranking) -> str:
    """What is least for the best. A rate for each watt is better higher, that of a latency too."""
    higher = "true" if ranking.per else "higher_is_better"
    return f"{PER[ranking.per]} * CASE WHEN {higher} THEN -1 ELSE 1 END"


def _add(conditions: list[str], values: list[Any], name: str, value: str) -> None:
    conditions.append(f"{name} = ?")
    values.append(value)


def list_question(where: str, limit: int | None) -> Question:
    """The results that fit a condition of SQL, the newest round first."""
    many = "" if limit is None else f" LIMIT {limit}"
    return Question(
        f"SELECT {', '.join(LISTED)} FROM results WHERE (\n{where}\n) "
        f"ORDER BY round DESC, benchmark, scenario, key{many}"
    )


def count_question(where: str) -> Question:
    """How many results fit a condition."""
    return Question(f"SELECT count(*) FROM results WHERE (\n{where}\n)")


PLATFORMS = "SELECT DISTINCT platform FROM results ORDER BY 1"


def of_system(reference: str) -> Question:
    """The results below a key, or of a platform."""
    return Question(
        "SELECT * FROM results WHERE key = ? OR starts_with(key, ?) OR platform = ? ORDER BY key",
        [reference, reference.rstrip("/") + "/", reference],
    )


# -- two systems against each other --------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A figure of both; ``change`` is in percent of what the first one has."""

    name: str
    unit: str
    was: float | None
    now: float | None
    change: float | None
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two results of one benchmark and scenario."""

    benchmark: str
    scenario: str
    was: dict[str, Any]
    now: dict[str, Any]
    figures: tuple[Compared, ...]

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        names = ("key", "round", "division", "organization", "system", "accelerator", "accelerators", "location")
        return {
            "benchmark": self.benchmark,
            "scenario": self.scenario,
            "was": {name: self.was[name] for name in names},
            "now": {name: self.now[name] for name in names},
            "figures": [
                {"name": one.name, "unit": one.unit, "was": one.was, "now": one.now, "change": one.change,
                 "verdict": one.verdict}
                for one in self.figures
            ],
        }  # fmt: skip


def pairs_of(was: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]], tolerance: float) -> list[Pair]:
    """The results that both have, of one benchmark in one scenario."""
    before = {(one["benchmark"], one["scenario"]): one for one in was}
    found = []
    for one in now:
        other = before.get((one["benchmark"], one["scenario"]))
        if other is not None:
            figures = tuple(_figures(other, one, tolerance))
            found.append(
                Pair(benchmark=one["benchmark"], scenario=one["scenario"], was=other, now=one, figures=figures)
            )
    return found


def _figures(was: dict[str, Any], now: dict[str, Any], tolerance: float) -> Iterable[Compared]:
    same_unit = was["unit"] == now["unit"]
    unit = now["unit"] if same_unit else f"{was['unit']} / {now['unit']}"
    yield _compared("result", unit, was["result"], now["result"], tolerance if same_unit else None,
                    higher=bool(now["higher_is_better"]))  # fmt: skip
    watt = f"{unit}/W" if now["higher_is_better"] else "samples/J"
    for name, words, of in (("per_accelerator", "per accelerator", unit), ("per_watt", "per watt", watt)):
        if was[name] is not None or now[name] is not None:
            yield _compared(words, of, was[name], now[name], tolerance if same_unit else None, higher=True)
    if was["accuracy_metric"] == now["accuracy_metric"] and was["accuracy"] is not None:
        metric = now["accuracy_metric"] or "accuracy"
        yield _compared(metric, "", was["accuracy"], now["accuracy"], None, higher=True)


def _compared(
    name: str, unit: str, was: float | None, now: float | None, tolerance: float | None, *, higher: bool
) -> Compared:
    """``tolerance`` is None where the figures say nothing of better or worse."""
    if was is None or now is None or not was:
        return Compared(name=name, unit=unit, was=was, now=now, change=None, verdict="not comparable")
    change = (now - was) / was * 100
    verdict = "not judged" if unit == "" else "not comparable"
    if tolerance is not None:
        gain = change if higher else -change
        verdict = "same" if abs(gain) <= tolerance * 100 + 1e-9 else ("better" if gain > 0 else "worse")
    return Compared(name=name, unit=unit, was=was, now=now, change=change, verdict=verdict)
