"""`submission explain`: where each column of a row comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.definitions.catalog.rounds import near
from orchestrator.errors import NothingSelectedError, UsageError
from orchestrator.operations.submissions import rulebook_of
from orchestrator.submissions.explain.explain import explain_result, locations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.operations.context import Context
    from orchestrator.submissions.explain.values import Explained

_MOST_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainRequest:
    """Which row is explained."""

    tree: Path
    row: str
    """Its Location, or a part of it: names of folders on the way there, in order, as far as they tell it apart."""
    round: str
    as_official: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RowExplanation:
    """A row that was explained."""

    request: ExplainRequest
    explained: Explained

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {"tree": str(self.request.tree), **self.explained.document()}


def explain_row(context: Context, request: ExplainRequest) -> RowExplanation:
    """Explain a row of a tree's summary, or the result that would be refused and has none.

    Raises:
        UsageError: as `check_submission`; `unknown-row`; `ambiguous-row`.
        NothingSelectedError: `no-results`.
    """
    book = rulebook_of(context, request.round, request.tree, as_official=request.as_official)
    known = locations(request.tree, book)
    if not known:
        raise NothingSelectedError(
            f"there are no results in {request.tree}",
            hint="name the folder that holds the divisions (closed/, open/)",
            slug="no-results",
        )
    location = _chosen(request.row, known)
    return RowExplanation(request=request, explained=explain_result(request.tree, location, book))


def _chosen(row: str, known: Sequence[str]) -> str:
    """The result that is meant: the whole path, else names of folders on the way there, else parts of names."""
    words = [word for word in row.split("/") if word not in {"", "."}]
    exact = "/".join(words)
    if exact in known:
        return exact
    for fits in (_same, _within):
        found = [path for path in known if words and _in_order(words, path.split("/"), fits)]
        if len(found) == 1:
            return found[0]
        if found:
            more = f", and {len(found) - _MOST_NAMED:,} more" if len(found) > _MOST_NAMED else ""
            raise UsageError(
                f"`{row}` may be each of {len(found):,} results",
                hint=f"name more folders: {', '.join(found[:_MOST_NAMED])}{more}",
                slug="ambiguous-row",
            )
    raise UsageError(f"there is no result `{row}`", hint=near(exact, known), slug="unknown-row")


def _in_order(words: Sequence[str], parts: Sequence[str], fits: Any) -> bool:
    rest = iter(parts)
    return all(any(fits(word, part) for part in rest) for word in words)


def _same(word: str, part: str) -> bool:
    return word.casefold() == part.casefold()


def _within(word: str, part: str) -> bool:
    return word.casefold() in part.casefold()
