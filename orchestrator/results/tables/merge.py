"""Rows of one table brought together: power joined to its performance, doubled rows counted, conflicts kept. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.results.tables.values import per_watt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.results.tables.row import Row

_ENOUGH = 1e-9
"""How far apart two figures may be, as a share, and be the same: tables print some digits less."""


@dataclass(slots=True, kw_only=True)
class Merged:
    """The results of a table, and what was found on the way."""

    rows: list[Row]
    joined: int = 0
    """Rows of power that were joined to their performance."""
    doubled: int = 0
    """Rows that said again what was there."""
    conflicts: list[str] = field(default_factory=list)
    """Results that the table has twice with different figures; both are kept, the later as `KEY#2`."""
    power_alone: int = 0
    """Results of power without a performance."""


def merged(rows: Iterable[Row]) -> Merged:
    """One row for each result. Power is a row of its own in some tables, and beside the performance in others."""
    kept: dict[str, list[Row]] = {}
    found = Merged(rows=[])
    for row in rows:
        same = kept.setdefault(row.key, [])
        fitting = next((one for one in same if _fits(one, row)), None)
        if fitting is None:
            same.append(row)
        else:
            _join(fitting, row, found)
    for key, same in kept.items():
        for index, row in enumerate(same):
            if index:
                row.key = f"{key}#{index + 1}"
                found.conflicts.append(key)
            _derive(row)
            found.power_alone += row.result is None and row.power is not None
            found.rows.append(row)
    return found


def _fits(one: Row, other: Row) -> bool:
    """Whether two rows may be of one result: no figure differs that both have."""
    return _same(one.result, other.result) and _same(one.power, other.power)


def _same(one: float | None, other: float | None) -> bool:
    return one is None or other is None or abs(one - other) <= _ENOUGH * max(abs(one), abs(other))


def _join(one: Row, other: Row, found: Merged) -> None:
    new_power = one.power is None and other.power is not None
    new_result = one.result is None and other.result is not None
    if new_power:
        one.power, one.power_unit = other.power, other.power_unit
    if new_result:
        one.result, one.unit, one.higher_is_better = other.result, other.unit, other.higher_is_better
        one.published, one.source_row, one.changed = other.published, other.source_row, other.changed
    one.datacenter, one.edge = _either(one.datacenter, other.datacenter), _either(one.edge, other.edge)
    if new_power or new_result:
        found.joined += 1
    else:
        found.doubled += 1


def _either(one: bool | None, other: bool | None) -> bool | None:  # noqa: FBT001 (two values of a column)
    return other if one is None else one or bool(other)


def _derive(row: Row) -> None:
    """What follows from its figures: a rate for each accelerator, and for each watt."""
    if row.result is None:
        return
    if row.higher_is_better and row.accelerators:
        row.per_accelerator = row.result / row.accelerators
    if row.power is not None and row.per_watt is None and (row.higher_is_better or row.power_unit == "mJ"):
        row.per_watt = per_watt(row.scenario, row.result, row.power, row.power_unit)
