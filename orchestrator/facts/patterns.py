"""Patterns that a recipe's author wrote, for lines that somebody's program prints; neither is trusted.

RE2 searches in time that grows with the line alone, whatever the pattern is; Python's `re` can take for ever
(docs/decisions/0016). It knows no look-around and no reference to an earlier group, and its ``\\w``, ``\\d`` and
``\\b`` mean ASCII.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_MEMORY = 256 * 2**10
"""Bytes that RE2 may use for one pattern: one of 400 characters can mean millions of states (``(.{1000}){9}``)."""


class PatternError(ValueError):
    """A text that is no pattern, or a pattern that takes too long; the message names it."""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """The pattern as RE2 has it; raises `PatternError` with what is wrong with it."""
    import re2  # here, as most commands search nothing

    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise PatternError(f"`{pattern[:80]}` is no regular expression that RE2 knows: {_why(error)}") from None


def _why(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    if "too large" in text:
        return "it counts too far, so that it would need too much memory"
    return f"{text} (no look-around, no reference to a group; the end is `$` or \\z)"
