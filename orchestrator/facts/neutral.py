"""Text of a container, a registry, an engine or a file as it may be shown: nothing in it steers a terminal. Pure."""

from __future__ import annotations

_STEERING = (
    *(set(range(0x20)) - {0x09, 0x0A}),
    *range(0x7F, 0xA0),
    *(0x200E, 0x200F, 0x2028, 0x2029),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
)
"""Control characters move the cursor, rename the window or answer for the user; direction marks make a line
read as another one; halves of characters cannot be written at all."""
_WRITTEN_OUT = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _STEERING}
_IN_JSON = {code: f"\\u{code:04x}" for code in _STEERING}


def neutral(text: str) -> str:
    """``text`` with what could steer a terminal written out (``\\x1b``); tabs and line ends stay."""
    return text if text.isprintable() else text.translate(_WRITTEN_OUT)


def neutral_json(text: str) -> str:
    """A JSON document of the same meaning, in which no string steers a terminal."""
    return text.translate(_IN_JSON)
