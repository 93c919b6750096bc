"""Small pieces of HTML: everything that comes from outside is escaped here and nowhere else."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

GIB = 1 << 30


class Html(str):
    """Text that is HTML already; any other text is escaped."""

    __slots__ = ()


def h(value: object) -> Html:
    """``value`` as HTML."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def join(parts: Iterable[str], by: str = "") -> Html:
    """Pieces of HTML, or text, one after the other."""
    return Html(by.join(h(part) for part in parts))


def tag(name: str, *content: object, css: str = "") -> Html:
    """``<name class="css">content</name>``."""
    attribute = f' class="{escape(css)}"' if css else ""
    return Html(f"<{name}{attribute}>{join(h(part) for part in content)}</{name}>")


def badge(word: str, kind: str) -> Html:
    """A verdict; ``kind`` is good, bad or wait."""
    return tag("span", word, css=f"badge {kind}")


def hashed(text: str) -> Html:
    """A digest or content id, which may break anywhere."""
    return tag("span", text or "–", css="hash")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[int] = ()) -> Html:
    """A table that scrolls sideways where it does not fit; ``right`` names columns of numbers."""
    head = join(tag("th", column, css="n" if i in right else "") for i, column in enumerate(columns))
    body = join(
        tag("tr", join(tag("td", cell, css="n" if i in right else "") for i, cell in enumerate(row))) for row in rows
    )
    whole = tag("table", tag("thead", tag("tr", head)), tag("tbody", body))
    return tag("div", whole, css="scroll")


def cards(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[int] = ()) -> Html:
    """A table whose rows become cards on a narrow screen, so that no column is out of sight there."""
    head = join(tag("th", column, css="n" if i in right else "") for i, column in enumerate(columns))
    body = join(tag("tr", join(_cell(columns[i], cell, i in right) for i, cell in enumerate(row))) for row in rows)
    return tag("table", tag("thead", tag("tr", head)), tag("tbody", body), css="cards")


def _cell(column: str, cell: object, number: bool) -> Html:  # noqa: FBT001 (private)
    css = ' class="n"' if number else ""
    return Html(f'<td{css} data-of="{escape(column)}">{h(cell)}</td>')


def pairs(rows: Iterable[tuple[str, object]]) -> Html:
    """Names and values; stacked on a narrow screen."""
    body = join(tag("tr", tag("th", name), tag("td", value, css="name")) for name, value in rows)
    return tag("table", tag("tbody", body), css="pairs")


def numbers(rows: Iterable[tuple[str, object]]) -> Html:
    """A grid of named figures."""
    return tag("dl", join(tag("div", tag("dt", name), tag("dd", value)) for name, value in rows), css="numbers")


def facts(document: Mapping[str, object]) -> list[tuple[str, object]]:
    """A JSON object of observed facts as names and values in words; empty ones are left out."""
    rows: list[tuple[str, object]] = []
    for key, value in document.items():
        text = _fact(key, value)
        if text:
            rows.append((key.replace("_", " "), text))
    return rows


def _fact(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and ("memory" in key or key in {"shm", "swap_total"}):
        return f"{value / GIB:.1f} GiB" if value >= GIB // 10 else f"{value / (1 << 20):.1f} MiB"
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name, item in value.items() if (text := _fact(str(name), item)))
    if isinstance(value, list | tuple):
        return _list(key, value)
    return "" if value is None else str(value)


def _list(key: str, value: Sequence[object]) -> str:
    numbers = [item for item in value if isinstance(item, int) and not isinstance(item, bool)]
    if value and len(numbers) == len(value) and key != "limits":
        return spans(numbers)
    return ", ".join(text for item in value if (text := _fact("", item)))


def spans(numbers: Sequence[int]) -> str:
    """Processor numbers in the kernel's list form: ``0-3, 8``."""
    ordered = sorted(set(numbers))
    if list(numbers) != ordered:
        return ", ".join(map(str, numbers))
    parts: list[list[int]] = []
    for number in ordered:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
