"""Long lists, cut to what fits a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    T = TypeVar("T")


def shorten(rows: Sequence[T], limit: int | None) -> tuple[Sequence[T], str]:
    """The first `limit` rows, and a sentence that says how to see all; it is empty where none is left out."""
    if limit is None or len(rows) <= limit:
        return rows, ""
    return rows[:limit], f"{limit} of {len(rows)} are shown; --all shows all"
