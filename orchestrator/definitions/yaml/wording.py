"""pydantic's English rewritten for someone who writes YAML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orchestrator.definitions.yaml.text import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

CLIP = 80

_SIMPLE: dict[str, tuple[str, str]] = {
    "int_parsing": ("is not a whole number", ""),
    "int_parsing_size": ("is not a whole number of a sensible size", ""),
    "int_type": ("is not a whole number", ""),
    "float_parsing": ("is not a number", ""),
    "float_type": ("is not a number", ""),
    "decimal_parsing": ("is not a number", ""),
    "decimal_type": ("is not a number", ""),
    "decimal_max_places": ("has too many digits after the point", "nine at most"),
    "finite_number": ("is not a finite number", ""),
    "bool_parsing": ("is neither true nor false", "write `true` or `false`"),
    "bool_type": ("is neither true nor false", "write `true` or `false`"),
    "string_type": ("is not a text", ""),
    "tuple_type": ("is not a list", ""),
    "dict_type": ("is not a mapping", ""),
    "model_type": ("is not a mapping", ""),
    "model_attributes_type": ("is not a mapping", ""),
}
_BOUNDS = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
_BOUND_WORDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def dotted(loc: tuple[str | int, ...]) -> str:
    """A location as people write it: ``sources[0].digests.linux/amd64``."""
    text = ""
    for item in loc:
        text += f"[{item}]" if isinstance(item, int) else f".{item[:CLIP]}" if text else item[:CLIP]
    return text


def quoted(value: str) -> str:
    """A value of the file within a sentence, clipped."""
    return f"`{value if len(value) <= CLIP else value[:CLIP] + '…'}`"


def complaint(kind: str, error: Mapping[str, Any], written: str | None) -> tuple[str, str]:
    """What is wrong with a value and what to do, from pydantic's error.

    ``written`` is the scalar's text; None for a list, a mapping or a plain null.
    """
    context: Mapping[str, Any] = error.get("ctx") or {}
    shown = quoted(written) if written is not None else _what(error.get("input"))
    if error.get("input") is None and kind in _SIMPLE:
        return _empty(kind)
    if kind in _SIMPLE:
        message, hint = _SIMPLE[kind]
        if kind == "tuple_type" and written is not None:
            hint = f"write `[{written[:CLIP]}]`"
        return f"{shown} {message}", hint
    if kind == "literal_error":
        return _literal(shown, written, str(context.get("expected", "")))
    if kind == "string_pattern_mismatch":
        return _mismatch(shown, str(context.get("pattern")))
    return _limit(kind, shown, context) or _other(error)


def _mismatch(shown: str, pattern: str) -> tuple[str, str]:
    from orchestrator.definitions.yaml.patterns import PATTERNS

    message, hint = PATTERNS.get(pattern, ("", ""))
    if message:
        return f"{shown} {'' if message.startswith('has') else 'is '}{message}", hint
    return f"{shown} has characters that cannot stand here", f"allowed is {_readable(pattern)}"


def _empty(kind: str) -> tuple[str, str]:
    if kind == "string_type":
        return "there is no value", 'write the value, or `""` for an empty text'
    if kind == "tuple_type":
        return "there is no value", "write `[]` for an empty list, or leave the key out"
    return "there is no value", "write a value, or leave the key out"


def _literal(shown: str, written: str | None, expected: str) -> tuple[str, str]:
    allowed = re.findall(r"'([^']*)'", expected)
    hint = f"write `{allowed[0]}`" if len(allowed) == 1 else suggestion(written or "", allowed, "one of")
    return f"{shown} is not possible here", hint


def _limit(kind: str, shown: str, context: Mapping[str, Any]) -> tuple[str, str] | None:
    if kind in _BOUNDS:
        name = _BOUNDS[kind]
        return f"{shown} is out of range", f"{_BOUND_WORDS[name]} {context.get(name)}"
    if kind == "string_too_short":
        least = context.get("min_length", 1)
        return ("the text is empty" if shown == "``" else f"{shown} is too short"), f"at least {least} characters"
    if kind == "string_too_long":
        return f"{shown} is too long", f"at most {context.get('max_length')} characters"
    if kind == "too_short":
        least = context.get("min_length", 1)
        return "too few entries", f"at least {least}"
    return None


def _other(error: Mapping[str, Any]) -> tuple[str, str]:
    message = str(error.get("msg", "this value does not fit")).removeprefix("Value error, ")
    return message[:1].lower() + message[1:], ""


def _what(value: object) -> str:
    return {dict: "a mapping", list: "a list", type(None): "an empty value"}.get(type(value), "this value")


def _readable(pattern: str) -> str:
    return f"`{pattern.removesuffix(chr(92) + 'Z')}$`" if pattern.endswith("\\Z") else f"`{pattern}`"
