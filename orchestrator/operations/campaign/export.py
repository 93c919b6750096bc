"""`mlorch campaign export`: the results of all cells as rows, read from their records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.campaigns.expand import subject_of
from orchestrator.campaigns.folder import cell_folder
from orchestrator.campaigns.journal import DONE
from orchestrator.campaigns.states import SAME
from orchestrator.operations.campaign.status import campaign_status
from orchestrator.results.store import Entry
from orchestrator.results.summary import document, summarise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.operations.campaign.status import CellStatus

_PERCENTILES = ("p50", "p90", "p97", "p99", "mean")


def campaign_rows(folder: Path) -> list[dict[str, Any]]:
    """A row for each cell: its axes, its result with its unit, and beside a performance the accuracy that holds for it.

    What was measured comes from the records: where one is gone or unreadable the row says so in ``why``. Raises as
    `campaign_status`.
    """
    status = campaign_status(folder)
    names = [name for name in dict.fromkeys(name for each in status.cells for name in each.cell.axes) if name != "mode"]
    rows = {id(each): _row(folder, each, names) for each in status.cells}
    first = {each.cell.folder: rows[id(each)] for each in status.cells if each.state != SAME}
    accuracies: dict[object, dict[str, Any]] = {}
    for each in status.cells:
        if each.cell.mode == "accuracy" and each.state == DONE:
            accuracies.setdefault(_subject(each), rows[id(each)])
    found = []
    for each in status.cells:
        row = rows[id(each)]
        if each.state == SAME:
            row = {**first[each.cell.folder], **_axes(each, names), "state": SAME}
        if each.cell.mode == "performance":
            row = {**row, **_accuracy(accuracies.get(_subject(each)))}
        found.append(row)
    return found


def _subject(each: CellStatus) -> object:
    return subject_of(tuple(each.cell.axes.items()))


def _axes(each: CellStatus, names: Sequence[str]) -> dict[str, Any]:
    """The columns that name a cell, the same ones in every row; an axis that a cell does not have is empty."""
    axes = {name: each.cell.axes.get(name) for name in ("benchmark", "scenario", *names)}
    return {**axes, "mode": each.cell.mode, "repetition": each.cell.repetition}


def _row(folder: Path, each: CellStatus, names: Sequence[str]) -> dict[str, Any]:
    row = {**_axes(each, names), "state": each.state}
    end = each.end
    if end is None or not end.runs:
        return {**row, **_measured(None), "why": each.cell.obstacle or ("" if end is None else end.why)}
    place = cell_folder(folder, end.folder) / end.runs[-1]
    entry = Entry(folder=place)
    if entry.record is None:
        return {**row, **_measured(None), "run": end.runs[-1], "why": entry.problem}
    told = document(summarise(entry.record, place))
    reasons = told["reasons"]
    assert isinstance(reasons, list)  # as `document` makes it
    return {**row, **_measured(told), "why": "; ".join(reasons)}


def _measured(told: dict[str, Any] | None) -> dict[str, Any]:
    """The columns of a result; of none the same columns, empty."""
    metrics = {} if told is None else told["metrics"]
    result, latency = metrics.get("result") or {}, metrics.get("latency_ns") or {}
    return {
        "verdict": None if told is None else told["verdict"],
        "metric": result.get("name"),
        "value": result.get("value"),
        "unit": result.get("unit"),
        **{f"{name}_ns": latency.get(name) for name in _PERCENTILES},
        **_accuracy_columns(metrics.get("accuracy") or {}),
        "disturbed": None if told is None else told["disturbed"],
        "image": None if told is None else told["image_digest"],
        "accuracy_image": None,
        "run": None if told is None else told["run_id"],
        "ran_on": None if told is None else told["target"],
        "started": None if told is None else told["started"],
    }


def _accuracy_columns(accuracy: dict[str, Any]) -> dict[str, Any]:
    return {
        "accuracy_metric": accuracy.get("name"),
        "accuracy": accuracy.get("value"),
        "accuracy_unit": accuracy.get("unit"),
        "accuracy_reached": accuracy.get("reached"),
    }


def _accuracy(row: dict[str, Any] | None) -> dict[str, Any]:
    """What a performance row says of the accuracy of its benchmark, image and parameters."""
    if row is None:
        return {}
    names = ("accuracy_metric", "accuracy", "accuracy_unit", "accuracy_reached")
    return {**{name: row[name] for name in names}, "accuracy_image": row["image"]}
