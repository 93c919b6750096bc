"""A fault as text: path, line and column first, so that terminals and editors can follow it."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from orchestrator.errors import Problem  # noqa: TC001 (a value type, free to import)

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAMES = 20
"""Names in a hint."""
EXCERPT = 120
"""Columns of source shown; of a longer line, the part around the fault."""


def render_problem(problem: Problem) -> str:
    """`path:line:col: error: message [slug]`, then the source line, a caret and the help, without colour."""
    span = f"{_clean(str(problem.span))}: " if problem.span else ""
    lines = [f"{span}{problem.level}: {_clean(problem.message)} [{problem.slug}]"]
    gutter = ""
    if problem.span and problem.source_line.strip():
        number = str(problem.span.line)
        gutter = " " * len(number)
        source, caret = _excerpt(problem)
        lines += [f"{gutter} |", f"{number} | {source}", f"{gutter} | {caret}"]
    if problem.hint:
        lines.append(f"{gutter} = help: {_clean(problem.hint)}")
    return "\n".join(lines)


def _excerpt(problem: Problem) -> tuple[str, str]:
    """The source line (its part around the fault) and the caret line below it."""
    span = problem.span
    assert span is not None  # the caller looked
    line = problem.source_line.rstrip("\r\n")
    first = span.column - 1
    last = span.end_column - 1 if span.end_line == span.line else len(line.rstrip())
    left = 0
    if len(line) > EXCERPT:
        left = max(0, min(first - EXCERPT // 3, len(line) - EXCERPT))
    shown = line[left : left + EXCERPT]
    head = ("…" if left else "") + shown + ("…" if left + EXCERPT < len(line) else "")
    indent = (1 if left else 0) + _width(line[left:first])
    carets = _width(line[first : min(last, left + EXCERPT)])
    return _clean(head.rstrip()), " " * indent + "^" * max(1, carets)


def _width(text: str) -> int:
    """Columns that a terminal gives a text; wide characters take two, combining ones none."""
    columns = 0
    for character in text:
        if not unicodedata.combining(character):
            columns += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return columns


def _clean(text: str) -> str:
    """No control character of a file or an argument reaches the terminal; white space counts as one column."""
    return "".join(" " if c.isspace() else c if c.isprintable() else "�" for c in text)


def nearest(word: str, choices: Iterable[str], *, limit: int = 1) -> list[str]:
    """The choices that a person may have meant, best first; spelling of case, `-` and `_` does not count.

    Those that begin so (`perf`) come before those that are spelt alike, unless they are more than ``limit``.
    """
    import difflib

    plain = {_plain(choice): choice for choice in choices}
    wanted = _plain(word[:80])
    begun = [name for name in plain if wanted and name.startswith(wanted)]
    if len(begun) > limit:
        begun = []
    found = difflib.get_close_matches(wanted, plain, n=limit, cutoff=0.6)
    # Letters in another order (`pipy`): difflib finds little in common in short words.
    swapped = [name for name in plain if sorted(name) == sorted(wanted)]
    return [plain[name] for name in list(dict.fromkeys([*begun, *found, *swapped]))[:limit]]


def suggestion(word: str, known: Iterable[str], lead: str = "there are") -> str:
    """The hint for a name that nothing has: the nearest known one, else which there are."""
    names = list(known)
    near = nearest(word, names)
    return f"did you mean `{near[0]}`?" if near else listing(lead, names)


def listing(lead: str, names: list[str]) -> str:
    """The first names after some words that say what they are."""
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{lead}: {', '.join(names[:MAX_NAMES])}{more}" if names else "none is defined"


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")
