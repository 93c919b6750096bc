"""Times as recipes and options write them, where days are meant as well: a step's limit, how long ago."""

from __future__ import annotations

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def seconds_of(text: str) -> int:
    """The seconds of ``10s``, ``90m``, ``240h``, ``30d`` or ``2w``. Raises ValueError for a text that is no such."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()):
        raise ValueError(text)
    return int(number) * _UNITS[unit]
