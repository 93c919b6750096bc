"""LoadGen's detail log in one pass: the entries that a rule asks for, errors, and whether every line is an entry.

A log is mostly `loaded_qsl_set` and counters of the logger. The lists are stepped over. That all lines between two
of them are entries as LoadGen writes them, and none an error, is known by counting; then only those whose key is
wanted are looked at. Where that does not come out, each line is.
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
_VALUE = b', "value": '
_AT_VALUE = len(_VALUE)
_END_OF_VALUE = b', "time_ms": '
_NO_ERROR = b'"is_error": false, "is_warning": '
_END = b"}}\n"
_NEXT = b"\n" + _START
_JOINT = _END + _START
_SAMPLES = b'\n:::MLLOG {"key": "loaded_qsl_set", '
_FEW = 4
"""Keys; so few are looked for one by one."""
_DIGITS = b"0123456789"
_TAIL = 600
"""What a list of samples ends with is within so many bytes."""
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
    needles: tuple[tuple[bytes, bytes], ...]
    """Each key, and how its line begins."""
    skeleton: bytes = b""
    """The last piece without its digits, where it had no wanted key: most are like the one before."""
    skeleton_lines: int = 0
    line: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    error_entries: int = 0
    errors: list[str] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)
    twice: dict[str, None] = field(default_factory=dict)


def parse_detail(blocks: Iterable[bytes], wanted: frozenset[bytes]) -> DetailLog:
    """Read a log that comes in blocks; ``wanted`` are the keys whose values are kept."""
    found = _Reading(wanted, tuple((key, _START + key + b'"') for key in sorted(wanted)))
    rest = b""
    for block in blocks:
        data = rest + block if rest else block
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        if data.find(b"\r\n", 0, _HEAD) >= 0:  # written on Windows
            data = data[:end].replace(b"\r\n", b"\n")
            end = len(data)
        _take_block(found, data, end)
        if len(rest) > LONGEST_LINE:
            rest = rest[:_HEAD]
    if rest:
        _take_block(found, rest + b"\n", len(rest) + 1)
    return DetailLog(
        values=found.values,
        error_entries=found.error_entries,
        errors=tuple(found.errors),
        broken=tuple(found.broken.values()),
        twice=tuple(found.twice),
    )


def _take_block(found: _Reading, data: bytes, end: int) -> None:
    """The whole lines of ``data`` up to ``end``: the lists of samples, which are most of it, and what is between."""
    at = 0
    while at < end:
        samples = data.find(_SAMPLES, max(at - 1, 0), end)
        stop = end - 1 if samples < 0 else samples
        if stop > at:
            _take_piece(found, data, at, stop)
        if samples < 0:
            return
        at = data.find(b"\n", samples + 1, end) + 1
        if data[at - 3 : at] == _END and data.find(_NO_ERROR, max(samples, at - _TAIL), at) > 0:
            found.line += 1
        else:
            _take_lines(found, data, samples + 1, at)


def _take_piece(found: _Reading, data: bytes, at: int, stop: int) -> None:
    """The lines from ``at`` up to the end of a line at ``stop``."""
    piece = data[at:stop]
    few = len(found.needles) <= _FEW
    skeleton = piece.translate(None, _DIGITS) if few else b""
    if few and skeleton == found.skeleton:
        found.line += found.skeleton_lines
        return
    lines = _usual_lines(piece)
    if not lines:
        _take_lines(found, data, at, stop + 1)
        return
    found.line += lines
    if not few:
        _take_wanted(found, piece)
        return
    wanted = [_take_key(found, piece, key, needle) for key, needle in found.needles]
    found.skeleton, found.skeleton_lines = b"" if any(wanted) else skeleton, lines


def _take_wanted(found: _Reading, piece: bytes) -> None:
    """The entries of all wanted keys."""
    for entry in piece[_AT:].split(_NEXT):
        key, _, rest = entry.partition(b'"')
        if key in found.wanted:
            _take_entry(found, key, rest, _START + entry)


def _take_key(found: _Reading, piece: bytes, key: bytes, needle: bytes) -> bool:
    """The entries of one key; whether there may be one in a piece that differs from this one in digits only."""
    begin = piece.find(needle)
    there = begin >= 0 or needle.translate(None, _DIGITS) != needle
    while begin >= 0:
        if begin == 0 or piece.startswith(b"\n", begin - 1):
            line = piece[begin:].partition(b"\n")[0]
            _take_entry(found, key, line[len(needle) :], line)
        begin = piece.find(needle, begin + 1)
    return there


def _usual_lines(piece: bytes) -> int:
    """The number of lines, where every one is an entry as LoadGen writes it, and no error; else 0."""
    entries = piece.count(_NO_ERROR)
    usual = (
        piece.startswith(_START)
        and piece.endswith(b"}}")
        and piece.count(_JOINT) == entries - 1
        and piece.count(b"\n") == entries - 1
    )
    return entries if usual else 0


def _take_entry(found: _Reading, key: bytes, rest: bytes, line: bytes) -> None:
    """Take an entry of a whole line; ``rest`` is what comes after the key's quote."""
    end = rest.find(_END_OF_VALUE)
    match = _SCALAR.fullmatch(rest, _AT_VALUE, end) if end > 0 and rest.startswith(_VALUE) else None
    if match is None:
        _take(found, line, errors=False)
    else:
        _keep(found, key.decode(errors="replace"), _value(match))


def _take_lines(found: _Reading, data: bytes, at: int, end: int) -> None:
    """Whole lines of ``data``, one by one.

    Most are told apart by their key alone. That none of them is an error is known by counting once; only where that
    does not come out, each line is looked into.
    """
    begin, entries = at, 0
    while at < end:
        found.line += 1
        stop = data.find(b"\n", at, end)
        if data.startswith(_START, at):
            entries += 1
            key_end = data.find(b'"', at + _AT, stop)
            key = data[at + _AT : key_end]
            if data[stop - 2 : stop] != b"}}":
                _take(found, data[at:stop], errors=True)
            elif key in found.wanted:
                _take_entry(found, key, data[key_end + 1 : stop], data[at:stop])
        elif data.startswith(_MARK, at):
            _take(found, data[at:stop], errors=True)
        at = stop + 1
    if data.count(_NO_ERROR, begin, end) != entries:
        _read_errors(found, data[begin:end].split(b"\n")[:-1])


def _read_errors(found: _Reading, lines: list[bytes]) -> None:
    """The entries that are errors, or do not say so where LoadGen does."""
    last = found.line
    for number, line in enumerate(lines, last - len(lines) + 1):
        if line.startswith(_START) and line.endswith(b"}}") and _NO_ERROR not in line:
            found.line = number
            _take(found, line, errors=True)
    found.line = last


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
