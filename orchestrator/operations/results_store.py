"""The store asked: `results query`, `top`, `list --where` and `compare store:…`."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.errors import NothingSelectedError, UsageError
from orchestrator.facts.neutral import csv_cell
from orchestrator.host.files import atomic_write_text, output_path
from orchestrator.results.tables.database import Database, store_folder
from orchestrator.results.tables.queries import MOST_ROWS, TIMEOUT_S, Answer, OwnQueries, own_query
from orchestrator.results.tables.ranking import (
    ALL,
    BENCHMARKS,
    PER,
    PLATFORMS,
    Pair,
    Ranking,
    best_question,
    count_question,
    list_question,
    newest,
    of_system,
    pairs_of,
    scenarios_question,
    top_question,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

STORE = "store:"
"""What a name of the store begins with where runs are meant otherwise."""
_MOST_NAMES = 1_000_000


def query_store(sql: str, store: Path | None, *, limit: int = MOST_ROWS, timeout_s: float = TIMEOUT_S) -> Answer:
    """A statement that reads (`asking.ask`)."""
    from orchestrator.results.tables.asking import ask

    return ask(Database(store_folder(store)), sql, limit=limit, timeout_s=timeout_s)


def write_csv(answer: Answer, path: Path, *, force: bool = False) -> None:
    """An answer as CSV for a spreadsheet: texts that it would take for a formula begin with `'`."""
    atomic_write_text(output_path(path), csv_text(answer), overwrite=force)


def csv_text(answer: Answer) -> str:
    """An answer as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(csv_cell, answer.columns))
    for row in answer.rows:
        writer.writerow(map(csv_cell, row))
    return text.getvalue()


# -- list --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Results of the store that fit a condition."""

    results: tuple[dict[str, Any], ...]
    total: int
    rounds: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {"results": list(self.results), "total": self.total, "rounds": list(self.rounds)}


def list_store(where: str, store: Path | None, *, last: int | None) -> Listed:
    """The results for which a condition of SQL holds. They may be of several rounds: each row says of which.

    Raises:
        UsageError: `bad-query`, `query-not-reading`; NothingSelectedError: `empty-store`.
    """
    with OwnQueries(Database(store_folder(store))) as queries:
        total = queries.ask(count_question(where).sql).rows[0][0]
        found = _documents(queries.ask(list_question(where, last).sql, limit=max(total, 1)))
    return Listed(results=found, total=total, rounds=tuple(sorted({one["round"] for one in found})))


def _documents(answer: Answer) -> tuple[dict[str, Any], ...]:
    return tuple(dict(zip(answer.columns, row, strict=True)) for row in answer.rows)


# -- top ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """The best results of a benchmark, for each scenario and unit."""

    ranking: Ranking
    suite: str
    round: str
    """The one that is shown, or `all`."""
    rounds: tuple[str, ...]
    """Those that have the benchmark."""
    results: tuple[dict[str, Any], ...]

    @property
    def value_name(self) -> str:
        """What they are ranked by."""
        return PER[self.ranking.per]

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {
            "benchmark": self.ranking.benchmark,
            "suite": self.suite,
            "round": self.round,
            "rounds": list(self.rounds),
            "division": self.ranking.division,
            "ranked_by": self.value_name,
            "results": list(self.results),
        }


def top_results(ranking: Ranking, store: Path | None) -> Top:
    """The best of each scenario, of one round unless all are asked for.

    Raises:
        NothingSelectedError: `empty-store`, `no-store-results`; UsageError: `unknown-store-name`.
    """
    with OwnQueries(Database(store_folder(store))) as queries:
        there = queries.ask(BENCHMARKS, limit=_MOST_NAMES).rows
        ranking = replace(ranking, benchmark=_known(ranking.benchmark, "benchmark", (row[0] for row in there)))
        known = [(suite, name) for benchmark, suite, name, number in there if number and benchmark == ranking.benchmark]
        suite, chosen = _chosen(ranking, known)
        question = best_question(ranking, suite, chosen)
        places = [row[0] for row in queries.ask(question.sql, question.values, limit=_MOST_NAMES).rows]
        found = _documents(queries.ask(top_question(ranking, places).sql)) if places else ()
        others = "" if found else _there(queries, ranking.benchmark, suite, chosen)
    if not found:
        raise NothingSelectedError(
            f"no valid result of {ranking.benchmark} in {_words(ranking, chosen)}",
            hint=f"there are {others}; --round all may have more; one without power has no value per watt",
            slug="no-store-results",
        )
    rounds = tuple(sorted({name for one, name in known if one == suite}))
    return Top(ranking=ranking, suite=suite, round=chosen, rounds=rounds, results=found)


def _there(queries: OwnQueries, benchmark: str, suite: str, round_name: str) -> str:
    """The scenarios of a benchmark by division, for a hint: ``closed: Offline, Server; open: Offline``."""
    question = scenarios_question(benchmark, suite, round_name)
    rows = queries.ask(question.sql, question.values).rows
    return "; ".join(f"{division}: {scenarios}" for division, scenarios in rows) or "none that count"


def _chosen(ranking: Ranking, known: Sequence[tuple[str, str]]) -> tuple[str, str]:
    if ranking.round in {"", ALL}:
        suite, name = newest(known)
        return suite, ranking.round or name
    for suite, name in known:
        if name.lower() == ranking.round.lower():
            return suite, name
    raise UsageError(
        f"the store has no result of {ranking.benchmark} in the round `{ranking.round}`",
        hint=f"rounds that have some: {', '.join(sorted(name for _, name in known))}",
        slug="unknown-store-name",
    )


def _words(ranking: Ranking, round_name: str) -> str:
    parts = [f"round {round_name}", f"division {ranking.division}"]
    parts += [word for word in (ranking.category, ranking.scenario, ranking.per and f"per {ranking.per}") if word]
    return ", ".join(parts)


def _known(name: str, column: str, known: Iterable[str]) -> str:
    """A name as the store spells it; raises `UsageError` with the nearest one where it has none."""
    names = list(dict.fromkeys(known))
    found = next((one for one in names if one.lower() == name.lower()), None)
    if found is not None:
        return found
    from orchestrator.definitions.yaml import suggestion

    raise UsageError(
        f"the store has no result of the {column} `{name}`",
        hint=suggestion(name, names, "it has"),
        slug="unknown-store-name",
    )


# -- compare -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreComparison:
    """Two systems of the store, result by result."""

    was: str
    now: str
    pairs: tuple[Pair, ...]
    rounds: tuple[str, ...]
    """Of all that are compared; more than one where the two are of different rounds."""

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {
            "was": self.was,
            "now": self.now,
            "rounds": list(self.rounds),
            "comparisons": [pair.document() for pair in self.pairs],
        }


def compare_store(was: str, now: str, store: Path | None, *, tolerance: float) -> StoreComparison:
    """Two systems, or two results, of the store; each is a key, the beginning of one, or a platform.

    Raises:
        UsageError: `unknown-store-name`, `ambiguous-store-name`, `nothing-to-compare`.
    """
    database = Database(store_folder(store))
    first, second = (_side(database, name.removeprefix(STORE)) for name in (was, now))
    pairs = tuple(pairs_of(first, second, tolerance))
    if not pairs:
        raise UsageError(
            f"{was} and {now} have no benchmark and scenario in common",
            hint="`mlorch results list --where \"platform = '…'\"` shows what each has",
            slug="nothing-to-compare",
        )
    rounds = tuple(sorted({side["round"] for pair in pairs for side in (pair.was, pair.now)}))
    return StoreComparison(was=was, now=now, pairs=pairs, rounds=rounds)


def _side(database: Database, reference: str) -> list[dict[str, Any]]:
    question = of_system(reference)
    found = list(_documents(own_query(database, question.sql, question.values)))
    if not found:
        platforms = (row[0] for row in own_query(database, PLATFORMS, limit=_MOST_NAMES).rows)
        question = of_system(_known(reference, "platform", platforms))
        found = list(_documents(own_query(database, question.sql, question.values)))
    systems = sorted({"/".join(one["key"].split("/")[:4]) for one in found if one["suite"] != "run"})
    if len(systems) > 1:
        raise UsageError(
            f"`{reference}` fits {len(systems)} systems: {', '.join(systems[:4])}{' …' if len(systems) > 4 else ''}",
            hint="name one of them, with its round: rounds are not mixed unless you say so",
            slug="ambiguous-store-name",
        )
    return found
