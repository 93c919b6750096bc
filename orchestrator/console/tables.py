"""Tables for people: as many columns as there is room for, lines that break between words, else a block a row."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_NARROWEST = 12
"""Cells to which a column of text may shrink; below, a table is harder to read than a block a row."""
_NOTHING = ("", "–")
_MARK = re.compile(r"\[(/|(?:bold )?(?:red|green|yellow|dim))\]")
"""What is a mark in a cell; whatever else stands in brackets is text, and so is a backslash before them."""


def print_table(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str,
    right: Sequence[int],
    drop: Sequence[int],
    either: tuple[int, int] | None = None,
) -> list[str]:
    """Print a table, its cells with marks; gives the columns that there was no room for and that say something."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    shown = cells
    if either is not None and _fit(columns, cells, right, (), console.width) is None:
        shown, drop = _folded(cells, *either), (either[1], *drop)
    empty = {index for index in drop if all(row[index].plain in _NOTHING for row in shown)}
    fitted = _fit(columns, shown, right, sorted(drop, key=lambda index: index not in empty), console.width)
    if fitted is None:
        _print_blocks(console, columns, cells, title)
        return []
    console.print(_rich_table(columns, shown, fitted, title, right))
    return [column for index, column in enumerate(columns) if index not in fitted and index not in empty]


def _folded(cells: list[list[Text]], first: int, second: int) -> list[list[Text]]:
    """The rows with what one column says laid into another; as they are where a row has something in both."""
    from rich.text import Text

    if not all(row[first].plain in _NOTHING or row[second].plain in _NOTHING for row in cells):
        return cells
    folded = [list(row) for row in cells]
    for row in folded:
        if row[first].plain in _NOTHING:
            row[first] = row[second]
        row[second] = Text()
    return folded


def _cell(text: str) -> Text:
    """A cell with its marks as colours; text of others in it may hold no mark that rich knows and we do not."""
    from rich.text import Text

    cell, style = Text(), ""
    for index, part in enumerate(_MARK.split(text)):
        if index % 2 == 0:
            cell.append(part, style)
        elif part != "/":
            style = part
        elif style:
            style = ""
        else:
            cell.append("[/]")  # it ends nothing
    return cell


def _fit(
    columns: Sequence[str], rows: Sequence[Sequence[Text]], right: Sequence[int], drop: Sequence[int], room: int
) -> dict[int, int] | None:
    """The columns that are shown and how wide each is: as many as there is room for; None where nothing helps."""
    measured = {index: _measure([column, *(row[index].plain for row in rows)]) for index, column in enumerate(columns)}
    for count in range(len(drop) + 1):
        shown = {index: sizes for index, sizes in measured.items() if index not in drop[:count]}
        widths = _widths(shown, right, room)
        if widths is not None:
            return widths
    return None


def _widths(measured: Mapping[int, tuple[int, int]], right: Sequence[int], room: int) -> dict[int, int] | None:
    """How wide the columns of a table may be, so that it fits `room` and breaks lines between words only.

    The widest column gives way first. Numbers and the first column, by which a row is found, stay whole.
    None where there is no such table.
    """
    widths = {index: width for index, (width, _) in measured.items()}
    least = {index: min(width, max(longest_word, _NARROWEST)) for index, (width, longest_word) in measured.items()}
    for index in (min(measured), *right):
        least[index] = widths.get(index, 0)
    over = sum(widths.values()) + 3 * len(widths) - 1 - room  # three blanks between columns, one at either end
    while over > 0:
        may_shrink = [index for index, width in widths.items() if width > least[index]]
        if not may_shrink:
            return None
        widest = max(may_shrink, key=lambda index: widths[index])
        widths[widest] -= 1
        over -= 1
    return widths


def _measure(texts: Sequence[str]) -> tuple[int, int]:
    """The width of a column's widest text, and of its longest word."""
    from rich.cells import cell_len

    words = [word for text in texts for word in text.split()]
    return max(map(cell_len, texts)), max(map(cell_len, words), default=0)


def _rich_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Text]],
    widths: Mapping[int, int],
    title: str,
    right: Sequence[int],
) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    heading = Text(title, style="table.title") if title else None
    table = Table(title=heading, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, width in widths.items():
        justify: Literal["left", "right"] = "right" if index in right else "left"
        table.add_column(columns[index], justify=justify, overflow="fold", width=width)
    for row in rows:
        table.add_row(*(row[index] for index in widths))
    return table


def _print_blocks(console: Console, columns: Sequence[str], rows: Sequence[Sequence[Text]], title: str) -> None:
    from rich.text import Text

    if title:
        console.print(Text(title, style="italic"))
    width = max(len(column) for column in columns)
    for row in rows:
        console.print()
        for column, cell in zip(columns, row, strict=True):
            if cell.plain in _NOTHING:
                continue
            console.print(Text(f"{column:{width}}  ") + cell, soft_wrap=True)
