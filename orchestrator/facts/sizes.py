"""Sizes as recipes write them: ``64m``, ``1t``, ``4096``."""

from __future__ import annotations

UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def size_bytes(text: str) -> int:
    """The bytes of a size; raises ValueError for a text that is no such."""
    unit = text[-1:] if text[-1:] in UNITS else ""
    number = text.removesuffix(unit)
    if not (number.isascii() and number.isdigit()) or len(number) > 18:
        raise ValueError(text)
    return int(number) * UNITS[unit]
