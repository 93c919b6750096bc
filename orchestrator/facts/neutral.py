"""Text of a container, a registry, an engine or a file as it may be shown: nothing in it steers a terminal. Pure."""

from __future__ import annotations

import re

_STEERING = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
"""Control characters move the cursor, rename the window or answer for the user; direction marks make a line
read as another one; halves of characters cannot be written at all.
Compiled at the first use: most commands show none."""


def neutral(text: str) -> str:
    """``text`` with what could steer a terminal written out (``\\x1b``); tabs and line ends stay."""
    return re.sub(_STEERING, _written_out, text)


def one_line(text: str) -> str:
    """``text`` as `neutral`, on one line: a file's name may hold line ends, and must not look like two lines."""
    return neutral(text).replace("\n", "\\n").replace("\t", "\\t")


def neutral_json(text: str) -> str:
    """A JSON document of the same meaning, in which no string steers a terminal."""
    return re.sub(_STEERING, _in_json, text)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _in_json(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


_FORMULA = ("=", "+", "-", "@")


def csv_cell(value: object) -> object:
    """A cell of a table as a spreadsheet may open it: no text begins a formula, none steers a terminal.

    Numbers stay as they are; a text that a spreadsheet would take for a formula gets the apostrophe that says it is
    none.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return value
    text = one_line(str(value))
    return f"'{text}" if text.startswith(_FORMULA) else text
