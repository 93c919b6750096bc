"""Our own runs as rows of the store. The records stay the truth: a row says where its record lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.facts.containers import RECORD
from orchestrator.results.summary import document, summarise
from orchestrator.results.tables.row import Row
from orchestrator.results.tables.values import UNITS, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.results.store import Entry
    from orchestrator.results.summary import Summary

ROUND = "own"
"""What stands for the round of runs of ours, which are no results of any."""


def rows_of_runs(entries: Iterable[Entry]) -> tuple[list[Row], list[str]]:
    """The runs that ended, and the ids of those whose record cannot be read."""
    rows: list[Row] = []
    unreadable: list[str] = []
    for entry in entries:
        if entry.record is None:
            unreadable.append(entry.run_id)
        elif entry.record.status != "running":
            rows.append(_row(summarise(entry.record, entry.folder)))
    return rows, unreadable


def _row(summary: Summary) -> Row:
    record = summary.record
    accuracies = {one.name: one.value * 100 if one.unit == "fraction" else one.value for one in summary.accuracies}
    first = next(iter(accuracies), "")
    row = Row(
        key=f"run/{record.run_id}",
        suite="run",
        round=ROUND,
        system=text(record.host.get("hostname")),
        platform=record.target,
        benchmark=record.benchmark,
        model=record.stands_for or record.benchmark,
        scenario=record.scenario,
        accuracy=accuracies.get(first),
        accuracy_metric=first,
        accuracies=accuracies,
        valid=summary.good,
        inferred=False,
        nodes=1,
        processor=text(record.host.get("cpu_model")),
        operating_system=text(record.host.get("os")),
        notes="; ".join(summary.reasons),
        started=record.started.utc,
        location=str(summary.folder / RECORD),
        published=document(summary),
    )
    result = summary.loadgen.result if summary.loadgen is not None and record.mode == "performance" else None
    if result is not None:
        unit = UNITS.get(result.unit)
        row.result = result.value * (unit.factor if unit else 1)
        row.unit, row.higher_is_better = unit.name if unit else result.unit, result.higher_is_better
        _set_power(row, summary)
    return row


def _set_power(row: Row, summary: Summary) -> None:
    """What the test drew, where that was measured as a submission asks for; counters of the host are no such thing."""
    power = summary.record.power
    if power is None or power.watts is None or not power.passed or power.simulated:
        return
    if row.higher_is_better:
        row.power, row.power_unit = power.watts, "W"
    elif power.joules_per_query is not None:
        row.power, row.power_unit = power.joules_per_query * 1000, "mJ"
