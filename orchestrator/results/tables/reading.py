"""Published tables as bytes → rows: which form it is, which row is wrong and why. Pure; whole or not at all."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.errors import Span, StepFailed
from orchestrator.facts.neutral import one_line
from orchestrator.facts.strict_json import strict_json
from orchestrator.results.tables.inference import (
    KNOWN,
    NEEDED,
    from_experiment,
    from_report,
    from_summary,
    missing_columns,
)
from orchestrator.results.tables.suites import from_tiny, from_training
from orchestrator.results.tables.values import BadCell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchestrator.results.tables.inference import InTokens
    from orchestrator.results.tables.row import Row

MOST_ROWS = 2_000_000
_LONGEST_CELL = 1 << 20
_FORMS = "the summary of a checker, `summary_results.json` of the final report, or `cm-result.json`"


class Entry(NamedTuple):
    """A row of a table: its line or number, and its cells by column."""

    at: int
    cells: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Table:
    """What a file held."""

    kind: str
    """summary, report, experiment, training, tiny."""
    rows: list[Row]
    entries: int
    """How many rows it has, before power is joined."""
    unknown: tuple[str, ...] = ()
    """Columns that no checker known here writes; `Row.published` has them."""


def read_table(data: bytes, name: str, in_tokens: InTokens) -> Table:
    """The rows of a file; its content says what form it has, not its name.

    Raises:
        StepFailed: `not-utf8`, `bad-table`, `table-columns`, `table-row`, with the place.
    """
    text = _decoded(data, name)
    kind, entries = _json_entries(text, name) if text.lstrip()[:1] in {"[", "{"} else _csv_entries(text, name)
    readers: dict[str, Callable[[Mapping[str, Any]], Row]] = {
        "summary": lambda cells: from_summary(cells, in_tokens),
        "report": lambda cells: from_report(cells, in_tokens),
        "experiment": lambda cells: from_experiment(cells, in_tokens),
        "training": from_training,
        "tiny": from_tiny,
    }
    rows = _rows(entries, readers[kind], name)
    return Table(kind=kind, rows=rows, entries=len(entries), unknown=_unknown(kind, entries))


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StepFailed(
            f"byte {data[error.start]:#04x} is no UTF-8",
            span=Span.at(name, line),
            hint="write the table as UTF-8; nothing was imported",
            slug="not-utf8",
        ) from None


def _rows(entries: Sequence[Entry], read: Callable[[Mapping[str, Any]], Row], name: str) -> list[Row]:
    rows: list[Row] = []
    for entry in entries:
        try:
            row = read(entry.cells)
        except BadCell as bad:
            raise _row_error(name, entry.at, str(bad)) from None
        row.source_row = entry.at
        rows.append(row)
    return rows


def _row_error(name: str, at: int, why: str) -> StepFailed:
    hint = "correct the row, or take it out; nothing was imported"
    return StepFailed(f"row {at}: {one_line(why)}", span=Span.at(name, at), hint=hint, slug="table-row")


def _unknown(kind: str, entries: Sequence[Entry]) -> tuple[str, ...]:
    if kind != "summary" or not entries:
        return ()
    return tuple(name for name in entries[0].cells if name not in KNOWN)


# -- CSV ---------------------------------------------------------------------------------


def _csv_entries(text: str, name: str) -> tuple[str, list[Entry]]:
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        return "summary", list(_csv_rows(text, name))
    finally:
        csv.field_size_limit(before)


def _csv_rows(text: str, name: str) -> Iterator[Entry]:
    reader = csv.reader(io.StringIO(text, newline=""))
    line = 1
    try:
        head = next(reader, [])
        _require_columns(head, name)
        line = reader.line_num + 1
        for count, cells in enumerate(reader):
            if count >= MOST_ROWS:
                raise StepFailed(f"it has more than {MOST_ROWS:,} rows", span=Span.at(name, line), slug="table-row")
            if cells:
                if len(cells) != len(head):
                    raise _row_error(name, line, f"it has {len(cells)} cells, and the head names {len(head)} columns")
                yield Entry(line, dict(zip(head, cells, strict=True)))
            line = reader.line_num + 1
    except csv.Error as error:
        raise _row_error(name, line, str(error)) from None


def _require_columns(head: Sequence[str], name: str) -> None:
    twice = sorted(name for name, number in Counter(head).items() if number > 1)
    if twice:
        raise _columns(name, f"the column `{one_line(twice[0][:60])}` stands there twice")
    missing = missing_columns(head)
    if len(missing) == len(NEEDED):
        raise _columns(name, "the first line names no column of a summary")
    if missing:
        raise _columns(name, f"there is no column {', '.join(f'`{one}`' for one in missing)}")


def _columns(name: str, why: str) -> StepFailed:
    hint = f"a summary's first line has {', '.join(NEEDED)} and others; nothing was imported"
    return StepFailed(why, span=Span.at(name), hint=hint, slug="table-columns")


# -- JSON --------------------------------------------------------------------------------


def _json_entries(text: str, name: str) -> tuple[str, list[Entry]]:
    try:
        document = strict_json(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        hint = "nothing was imported"
        raise StepFailed(f"it is no JSON: {error}", span=Span.at(name, line), hint=hint, slug="bad-table") from None
    found = list(document.values()) if isinstance(document, dict) else document  # pandas writes {"0": {…}, …}
    entries: list[Entry] = []
    for index, cells in enumerate(found, 1):
        if not isinstance(cells, dict):
            raise StepFailed(
                f"entry {index} is no object",
                span=Span.at(name),
                hint=f"what is imported is {_FORMS}; nothing was imported",
                slug="bad-table",
            )
        entries.append(Entry(index, cells))
    return _kind(entries, name), entries


def _kind(entries: Sequence[Entry], name: str) -> str:
    """What the first entry is one of; every other one must have the same needed names."""
    first = entries[0].cells if entries else {}
    needed = next((known for known in _KINDS if all(column in first for column in known[1])), None)
    if needed is None:
        some = ", ".join(f"`{one_line(str(column)[:40])}`" for column in list(first)[:4]) or "nothing"
        raise StepFailed(
            f"its entries have {some}, which is no table known here",
            span=Span.at(name),
            hint=f"what is imported is {_FORMS}; nothing was imported",
            slug="table-columns",
        )
    kind, columns = needed
    for entry in entries:
        missing = [column for column in columns if column not in entry.cells]
        if missing:
            raise _row_error(name, entry.at, f"it has no `{missing[0]}`")
    return kind


_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("report", ("Submitter", "Category", "Suite", "Platform", "UsedModel", "Scenario", "version")),
    ("training", ("Model_ID", "Result", "Result_Units", "division", "submitter", "system", "version")),
    ("tiny", ("Benchmark", "Board Name", "Division", "Result", "version")),
    ("experiment", ("uid", "git_url", *NEEDED)),
    ("summary", NEEDED),
)
"""What tells the forms of JSON apart: the names that each entry has."""
