"""Numbers for people: four digits, and the unit that suits them."""

from __future__ import annotations


def number(value: float) -> str:
    """Four significant digits or all before the point: ``40,694``, ``494.6``, ``9.812``."""
    if value == 0:
        return "0"
    digits = max(0, 4 - len(str(int(abs(value)))))
    return f"{value:,.{digits}f}"


def nanoseconds(value: float) -> str:
    """A latency in the unit that suits it: ``812 ns``, ``459.1 µs``, ``12.35 ms``, ``1.341 s``."""
    for limit, scale, unit in ((1e3, 1, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
        if abs(value) < limit:
            return f"{number(value / scale)} {unit}"
    return f"{number(value / 1e9)} s"


def percent(value: float) -> str:
    """A fraction as a percentage: ``91.06 %``."""
    return f"{value * 100:.2f} %"
