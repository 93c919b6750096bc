"""Cells of published tables as values: numbers, counts, accuracies, units. What cannot be one is None. Pure."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

NOTHING = frozenset({"", "n/a", "na", "-", "none", "null", "nan"})
"""What tables write where there is no number, in lower case."""


def text(value: Any) -> str:
    """A cell as text: ``8.0`` of a table that made all numbers floats is ``8``; null is empty."""
    if type(value) is str:  # all that a CSV has
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def number(value: Any) -> float | None:
    """A finite number; None where it is something else."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def whole(value: Any) -> int | None:
    """A count: ``8``, ``8.0`` or ``"8"``; None for ``N/A`` or ``4 (big); 4 (LITTLE)``."""
    found = number(value)
    if found is None or found < 0 or not found.is_integer() or found >= 2**31:
        return None
    return int(found)


def truth(value: Any) -> bool | None:
    """``1``, ``True`` or ``true``; None where there is nothing."""
    word = text(value).lower()
    return None if word in NOTHING else word in {"1", "true"}


class BadCell(ValueError):
    """A cell that a result cannot do without, and what is wrong with it."""


class Unit(NamedTuple):
    """A unit of the store, what a published figure is multiplied by, and which way is better."""

    name: str
    factor: float
    higher_is_better: bool


UNITS = {
    "samples/s": Unit("samples/s", 1, higher_is_better=True),
    "queries/s": Unit("queries/s", 1, higher_is_better=True),
    "tokens/s": Unit("tokens/s", 1, higher_is_better=True),
    "latency (ms)": Unit("ms", 1, higher_is_better=False),
    "latency (s)": Unit("ms", 1000, higher_is_better=False),
    "latency (ns)": Unit("ms", 1e-6, higher_is_better=False),
    "min.": Unit("min", 1, higher_is_better=False),
    "inf./sec.": Unit("inferences/s", 1, higher_is_better=True),
    "ns": Unit("ms", 1e-6, higher_is_better=False),
}
"""By what tables write, in lower case."""
POWER_UNITS = {"watts": "W", "millijoules": "mJ"}
"""Of the rows and columns of power."""


def figure_in(value: Any, unit: str) -> tuple[float, Unit] | None:
    """A published figure in a unit of the store; None where there is none.

    Raises `BadCell` for one that is no figure, or in a unit that nobody knows.
    """
    if text(value).lower() in NOTHING:
        return None
    figure, known = number(value), UNITS.get(unit.lower())
    if figure is None or figure < 0:
        raise BadCell(f"Result is `{text(value)[:40]}`, which is no figure")
    if known is None:
        raise BadCell(f"its unit is `{unit[:40]}`, which is none of {', '.join(UNITS)}")
    return figure * known.factor, known


def accuracies(value: Any) -> dict[str, float]:
    """The figures of a cell: a bare number has no name; ``ROUGE1: 44.45  ROUGE2: 22.04`` has two.

    Older tables have the number alone; newer ones JSON without its marks.
    """
    bare = number(value)
    if bare is not None:
        return {"": bare}
    found = {}
    for name, figure in _ACCURACY.findall(text(value)):
        one = number(figure)
        if one is not None:
            found[name] = one
    return found


_ACCURACY = re.compile(r"([A-Za-z][\w@.-]{0,80})\s{0,9}:\s{0,9}([-+]?[\d.]+(?:[eE][-+]?\d+)?)")


def per_watt(scenario: str, result: float, power: float, unit: str) -> float | None:
    """Results a second for each watt. Energy is for each query, of which one has 8 samples in MultiStream."""
    if power <= 0:
        return None
    if unit == "W":
        return result / power
    return (8000 if scenario == "MultiStream" else 1000) / power
