"""Text of a container, a registry, an engine or a file as it may be shown: nothing in it commands a terminal. Pure."""

from __future__ import annotations


def harmless(text: str) -> str:
    """``text`` without control characters, escape sequences and marks that turn its direction; lines stay lines.

    White space that is neither a tab nor the end of a line counts as one blank; anything else shows as ``�``.
    """
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character.isprintable() or character in "\n\t":
        return character
    return " " if character.isspace() else "�"


def harmless_json(text: str) -> str:
    """A JSON document with the same meaning, in which no string commands a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    """As JSON writes it: characters beyond the first 65,536 as two."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
