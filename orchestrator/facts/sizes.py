"""Sizes as recipes write them (``64m``, ``1t``, ``4096``), and numbers as anybody does."""

from __future__ import annotations

import re

UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def whole_number(text: str) -> int | None:
    """The number that somebody else wrote in decimal digits; None for a text that is no such, or is beyond use."""
    if not (text.isascii() and text.isdigit()) or len(text) > 18:  # `isdigit` takes ² too, and `int` does not
        return None
    return int(text)


_THOUSANDS = {"": 1, "k": 10**3, "m": 10**6}
_MEANT = re.compile(
    r"((?:[0-9]{1,3}(?:,[0-9]{3}){1,4}|[0-9]{1,12})(?:\.[0-9]{1,9})?) ?([km]?) ?(?:/s|qps)?", re.IGNORECASE
)


def meant_number(text: str) -> float | None:
    """What a person means who writes a number as ``1k``, ``1.5M``, ``1,000`` or ``50/s``; None for anything else."""
    found = _MEANT.fullmatch(text.strip())
    return None if found is None else float(found[1].replace(",", "")) * _THOUSANDS[found[2].lower()]


def size_bytes(text: str) -> int:
    """The bytes of a size; raises ValueError for a text that is no such."""
    unit = text[-1:] if text[-1:] in UNITS else ""
    number = text.removesuffix(unit)
    count = whole_number(number)
    if count is None:
        raise ValueError(text)
    return count * UNITS[unit]
