"""LoadGen's detail log in one pass: the entries that a rule asks for, errors, and whether every line is an entry.

A log is mostly `loaded_qsl_set` and counters of the logger, so lines are told apart by their beginning and end, and
decoded only where their key is wanted or they are written otherwise than LoadGen writes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.facts.strict_json import strict_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BLOCK = 1 << 20
LONGEST_LINE = 16 << 20
"""Bytes; the longest of a public round has five million."""
_HEAD = 4096
"""What is kept of a longer line."""
_MOST_TOLD = 5
_LONGEST_TOLD = 300
_TAIL = 400
_MARK = b":::MLLOG"
_START = b':::MLLOG {"key": "'
_AT = len(_START)
_NO_ERROR = b'"is_error": false'
_ENTRY = re.compile(
    rb':::MLLOG \{"key": "[^"\\]+", "value": '
    rb'(?:(true|false)|(-?[0-9]{1,20})|(-?[0-9]+\.[0-9]+(?:e[-+]?[0-9]+)?|-?[0-9]+e[-+]?[0-9]+)|"([^"\\\x00-\x1f]*)"), '
    rb'"time_ms": [-+.e0-9]+, "namespace": "[^"\\]*", "event_type": "[^"\\]*", "metadata": \{"is_error": false, '
    rb'"is_warning": (?:true|false), "file": "[^"\\]*", "line_no": [0-9]+, "pid": [0-9]+, "tid": [0-9]+\}\}\r?'
)
"""A line of one value, as LoadGen writes it."""


@dataclass(frozen=True, slots=True)
class DetailLog:
    """What a detail log says. Of a key that stands there several times the first value counts."""

    values: Mapping[str, Any]
    error_entries: int = 0
    errors: tuple[str, ...] = ()
    """What the first of those entries say."""
    broken: tuple[str, ...] = ()
    """Beginnings of the first lines that are no entries though they begin as ones, with their numbers."""
    twice: tuple[str, ...] = ()
    """Keys of the wanted ones that have two different values."""

    @property
    def error_count(self) -> int:
        """LoadGen's count of errors, else the number of entries that are errors."""
        said = self.values.get("num_errors")
        return said if isinstance(said, int) else self.error_entries

    def number(self, key: str) -> float | int | None:
        """A number; None where there is none (a truth value is none)."""
        value = self.values.get(key)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(slots=True)
class _Reading:
    wanted: frozenset[bytes]
    values: dict[str, Any] = field(default_factory=dict)
    error_entries: int = 0
    errors: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    twice: dict[str, None] = field(default_factory=dict)


def parse_detail(blocks: Iterable[bytes], wanted: frozenset[bytes]) -> DetailLog:
    """Read a log that comes in blocks; ``wanted`` are the keys whose values are kept."""
    found = _Reading(wanted)
    number = 0
    for lines in _lines(blocks):
        for line in lines:
            number += 1
            if line.startswith(_START):
                tail = line[-_TAIL:]
                usual = _NO_ERROR in tail and tail.endswith((b"}}", b"}}\r"))
                if usual and line[_AT : line.find(b'"', _AT)] not in wanted:
                    continue
                _take(found, line, number)
            elif line.startswith(_MARK):
                _take(found, line, number)
    return DetailLog(
        values=found.values,
        error_entries=found.error_entries,
        errors=tuple(found.errors),
        broken=tuple(found.broken),
        twice=tuple(found.twice),
    )


def _lines(blocks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The whole lines of each block; of a line that is longer than `LONGEST_LINE` its beginning and its end."""
    rest = b""
    for block in blocks:
        lines = (rest + block if rest else block).split(b"\n")
        rest = lines.pop()
        yield lines
        if len(rest) > LONGEST_LINE:
            rest = rest[:_HEAD]
    if rest:
        yield [rest]


def _take(found: _Reading, line: bytes, number: int) -> None:
    usual = _ENTRY.fullmatch(line)
    if usual is not None:
        _keep(found, line[_AT : line.find(b'"', _AT)], _value(usual))
        return
    try:
        entry = strict_json(line[len(_MARK) :].decode())
        key, value, is_error = entry["key"], entry["value"], entry["metadata"]["is_error"]
    except (ValueError, KeyError, TypeError):
        if len(found.broken) < _MOST_TOLD:
            found.broken.append(f"line {number}: {line[:80].decode(errors='replace')}")
        return
    if is_error:
        found.error_entries += 1
        if len(found.errors) < _MOST_TOLD:
            found.errors.append(str(value)[:_LONGEST_TOLD])
    if isinstance(key, str) and not isinstance(value, dict | list):
        _keep(found, key.encode(errors="replace"), value)


def _value(entry: re.Match[bytes]) -> Any:
    truth, whole, number, text = entry.groups()
    if truth is not None:
        return truth == b"true"
    if whole is not None:
        return int(whole)
    if number is not None:
        return float(number)
    return text.decode(errors="replace")


def _keep(found: _Reading, key: bytes, value: Any) -> None:
    if key not in found.wanted:
        return
    name = key.decode(errors="replace")
    if found.values.setdefault(name, value) != value:
        found.twice[name] = None
