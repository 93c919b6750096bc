"""Sizes as recipes write them (``64m``, ``1t``, ``4096``), and numbers as anybody does."""

from __future__ import annotations

UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def whole_number(text: str) -> int | None:
    """The number that somebody else wrote in decimal digits; None for a text that is no such, or is beyond use."""
    if not (text.isascii() and text.isdigit()) or len(text) > 18:  # `isdigit` takes ² too, and `int` does not
        return None
    return int(text)


def size_bytes(text: str) -> int:
    """The bytes of a size; raises ValueError for a text that is no such."""
    unit = text[-1:] if text[-1:] in UNITS else ""
    number = text.removesuffix(unit)
    count = whole_number(number)
    if count is None:
        raise ValueError(text)
    return count * UNITS[unit]
