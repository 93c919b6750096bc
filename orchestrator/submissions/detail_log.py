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
    from collections.abc import Iterable, Mapping

BLOCK = 4 << 20
LONGEST_LINE = 16 << 20
"""Bytes; the longest of a public round has five million."""
_HEAD = 4096
"""What is kept of a longer line."""
_MOST_TOLD = 5
_LONGEST_TOLD = 300
_MARK = b":::MLLOG"
_START = b':::MLLOG {"key": "'
_AT = len(_START)
_VALUE = b'", "value": '
_END_OF_VALUE = b', "time_ms": '
_NO_ERROR = b'"is_error": false, "is_warning": '
_SCALAR = re.compile(
    rb"(true|false)|(-?(?:0|[1-9][0-9]{0,19}))|(-?[0-9]+\.[0-9]+(?:e[-+]?[0-9]+)?|-?[0-9]+e[-+]?[0-9]+)"
    rb'|"([^"\\\x00-\x1f]*)"'
)
_REPEATED = frozenset(("power_begin", "power_end"))
"""Keys that one test may write several times."""


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
    line: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    error_entries: int = 0
    errors: list[str] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)
    twice: dict[str, None] = field(default_factory=dict)


def parse_detail(blocks: Iterable[bytes], wanted: frozenset[bytes]) -> DetailLog:
    """Read a log that comes in blocks; ``wanted`` are the keys whose values are kept."""
    found = _Reading(wanted)
    rest = b""
    for block in blocks:
        data = rest + block if rest else block
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        _read(found, data, end)
        if len(rest) > LONGEST_LINE:
            rest = rest[:_HEAD]
    if rest:
        _read(found, rest + b"\n", len(rest) + 1)
    return DetailLog(
        values=found.values,
        error_entries=found.error_entries,
        errors=tuple(found.errors),
        broken=tuple(found.broken.values()),
        twice=tuple(found.twice),
    )


def _read(found: _Reading, data: bytes, end: int) -> None:
    """The whole lines of ``data`` up to ``end``.

    Most lines are told apart by their key alone. That none of them is an error is known by counting once; only where
    that does not come out, each line is looked into.
    """
    find, startswith, wanted = data.find, data.startswith, found.wanted
    entries = at = 0
    while at < end:
        found.line += 1
        stop = find(b"\n", at, end)
        if startswith(_START, at):
            entries += 1
            key_end = find(b'"', at + _AT, stop)
            key = data[at + _AT : key_end]
            if key in wanted:
                if not _take_usual(found, data, key, key_end, stop):
                    _take(found, data[at:stop], errors=data[stop - 2 : stop] != b"}}")
            elif data[stop - 2 : stop] != b"}}":
                _take(found, data[at:stop], errors=True)
        elif startswith(_MARK, at):
            _take(found, data[at:stop], errors=True)
        at = stop + 1
    if data.count(_NO_ERROR, 0, end) != entries:
        _read_errors(found, data[:end].split(b"\n")[:-1])


def _read_errors(found: _Reading, lines: list[bytes]) -> None:
    """The entries that are errors, or do not say so where LoadGen does."""
    last = found.line
    for number, line in enumerate(lines, last - len(lines) + 1):
        if line.startswith(_START) and line.endswith(b"}}") and _NO_ERROR not in line:
            found.line = number
            _take(found, line, errors=True)
    found.line = last


def _take_usual(found: _Reading, data: bytes, key: bytes, at: int, stop: int) -> bool:
    """Take an entry that is written as LoadGen does; whether it is one."""
    end = data.find(_END_OF_VALUE, at, stop)
    if end < 0 or data[stop - 2 : stop] != b"}}" or not data.startswith(_VALUE, at):
        return False
    match = _SCALAR.fullmatch(data, at + len(_VALUE), end)
    if match is None:
        return False
    _keep(found, key.decode(errors="replace"), _value(match))
    return True


def _take(found: _Reading, line: bytes, *, errors: bool) -> None:
    """Take an entry whatever it looks like; ``errors`` says whether one that is an error is counted here."""
    try:
        entry = strict_json(line[len(_MARK) :].decode())
        key, value, is_error = entry["key"], entry["value"], entry["metadata"]["is_error"]
    except (ValueError, KeyError, TypeError):
        if len(found.broken) < _MOST_TOLD:
            found.broken[found.line] = f"line {found.line}: {line[:80].decode(errors='replace')}"
        return
    if is_error and errors:
        found.error_entries += 1
        if len(found.errors) < _MOST_TOLD:
            found.errors.append(str(value)[:_LONGEST_TOLD])
    if isinstance(key, str) and not isinstance(value, dict | list) and key.encode(errors="replace") in found.wanted:
        _keep(found, key, value)


def _value(scalar: re.Match[bytes]) -> Any:
    truth, whole, number, text = scalar.groups()
    if truth is not None:
        return truth == b"true"
    if whole is not None:
        return int(whole)
    if number is not None:
        return float(number)
    return text.decode(errors="replace")


def _keep(found: _Reading, key: str, value: Any) -> None:
    if found.values.setdefault(key, value) != value and key not in _REPEATED:
        found.twice[key] = None
