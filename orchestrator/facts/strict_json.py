"""JSON that somebody else wrote, decoded strictly. Pure."""

from __future__ import annotations

import json
import math
from typing import Any

_DEEPEST = 64
_LONGEST_INTEGER = 20
"""Characters: what 64 bits hold, with a sign. Larger ones become no float, and a table of them is no table."""


def strict_json(text: str) -> Any:
    """The document in ``text``: no NaN or infinity, no key twice, no half characters, nothing deeper than 64 levels,
    and no integer beyond 64 bits.

    Raises `ValueError`.
    """
    try:
        document = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError:
        raise ValueError(f"deeper than {_DEEPEST} levels") from None
    if text.count("[") + text.count("{") > _DEEPEST and _deeper(document, _DEEPEST):
        raise ValueError(f"deeper than {_DEEPEST} levels")
    if "\\u" in text:
        _require_whole_characters(document)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the key {name[:80]!r} stands there twice")
            seen.add(name)
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _whole(word: str) -> int:
    if len(word) > _LONGEST_INTEGER:
        raise ValueError(f"{word[:40]}… is larger than a number can be")
    return int(word)


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"{word[:40]} is larger than a number can be")
    return value


def _deeper(document: Any, levels: int) -> bool:
    """Level by level, as every record of a listing comes this way."""
    level = [document] if isinstance(document, dict | list) else []
    for _ in range(levels):
        below: list[Any] = []
        for value in level:
            inner = value.values() if type(value) is dict else value
            below += [item for item in inner if type(item) is dict or type(item) is list]
        if not below:
            return False
        level = below
    return True


def _require_whole_characters(document: Any) -> None:
    """Half of a pair (``\\ud800``) is no character: no file and no terminal takes it."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("half a character") from None
