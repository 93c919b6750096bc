"""What can be wrong with a server, told in words that a person can act on."""

from __future__ import annotations

import msgspec

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What bytes raise that are not the JSON which was wanted; the last of them is nested thousands of times."""
LONGEST = 300
"""Characters of a server's own words that are repeated."""
_TELLING = 4
"""So many letters of a key, at the end of what is told, are taken for its beginning."""


class EndpointError(RuntimeError):
    """A server that does not do what OpenAI's interface says; the message names its address."""


def printable(text: str, longest: int = LONGEST) -> str:
    """What a server wrote, on one line, without control characters, cut."""
    line = " ".join(text.split())
    shown = "".join(letter if letter.isprintable() else "?" for letter in line[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[:longest]}…"


def without(secret: str | None, text: str) -> str:
    """A server's words without the key, which some of them repeat, or the part of it before which they were cut."""
    if not secret:
        return text
    text = text.replace(secret, "***")
    begun = text.removesuffix("…")
    for length in range(min(len(secret), len(begun)), _TELLING - 1, -1):
        if begun.endswith(secret[:length]):
            return f"{begun[:-length]}***"
    return text
