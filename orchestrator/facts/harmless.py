"""Text of a container, a registry, an engine or a file as it may be shown: nothing in it commands a terminal. Pure."""

from __future__ import annotations

import re

_ODD = re.compile(r"[^\n\t -~]")
"""What may have to be changed: most text has nothing of it, and is not looked at character by character."""


def harmless(text: str) -> str:
    """``text`` without control characters, escape sequences and marks that turn its direction; lines stay lines.

    White space that is neither a tab nor the end of a line counts as one blank; anything else shows as ``�``.
    """
    return _ODD.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    return " " if character.isspace() else "�"


def harmless_json(text: str) -> str:
    """A JSON document with the same meaning, in which no string commands a terminal."""
    return _ODD.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    """As JSON writes it: characters beyond the first 65,536 as two."""
    character = found[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
