"""The results of a campaign as a table: rows of plain values, as CSV, and those that no other row beats. Pure."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.facts.metrics import METRICS
from orchestrator.facts.neutral import csv_cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Row = Mapping[str, object]

LOWER = ("p50_ns", "p90_ns", "p97_ns", "p99_ns", "mean_ns")
HIGHER = ("accuracy",)
OBJECTIVES = ("value", *HIGHER, *LOWER)
"""What `--pareto` takes; the direction of ``value`` is that of its metric."""


def to_csv(rows: Sequence[Row]) -> str:
    """The rows as CSV with a header, lines ended as RFC 4180 has it."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([csv_cell(name) for name in columns])
    for row in rows:
        writer.writerow([csv_cell(row.get(name)) for name in columns])
    return stream.getvalue()


def pareto(rows: Sequence[Row], objectives: Sequence[str]) -> list[Row]:
    """The rows that no other one of the same benchmark, scenario and metric beats in every objective.

    Only results that count are compared, and only those that have all objectives. Raises `UsageError` [pareto].
    """
    unknown = [name for name in objectives if name not in OBJECTIVES]
    if unknown or not objectives:
        hint = f"name some of: {', '.join(OBJECTIVES)}"
        raise UsageError(f"--pareto knows no objective `{', '.join(unknown)}`", hint=hint, slug="pareto")
    groups: dict[tuple[object, ...], list[tuple[Row, tuple[float, ...]]]] = {}
    for row in rows:
        goodness = _goodness(row, objectives)
        if row["state"] == "done" and row["mode"] == "performance" and goodness is not None:
            kind = (row["benchmark"], row["scenario"], row["metric"])
            groups.setdefault(kind, []).append((row, goodness))
    best = [id(row) for group in groups.values() for row in _front(group)]
    return [row for row in rows if id(row) in best]


def _goodness(row: Row, objectives: Iterable[str]) -> tuple[float, ...] | None:
    """The objectives of a row so that more is better; None where one is not known."""
    found = []
    for name in objectives:
        value = row.get(name)
        if not isinstance(value, int | float):
            return None
        metric = METRICS.get(str(row["metric"]))
        is_lower = name in LOWER or (name == "value" and metric is not None and not metric.higher_is_better)
        found.append(-float(value) if is_lower else float(value))
    return tuple(found)


def _front(group: Sequence[tuple[Row, tuple[float, ...]]]) -> list[Row]:
    """Those that nobody beats: best first, each has only to be compared with the ones that are kept."""
    kept: list[tuple[Row, tuple[float, ...]]] = []
    for row, goodness in sorted(group, key=lambda pair: pair[1], reverse=True):
        if not any(_beats(other, goodness) for _, other in kept):
            kept.append((row, goodness))
    return [row for row, _ in kept]


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine >= theirs for mine, theirs in zip(one, other, strict=True))
