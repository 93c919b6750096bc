"""All hints of a checked tree. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.submissions.findings import findings_of
from orchestrator.submissions.plausibility.figures import FIGURE_HINTS
from orchestrator.submissions.plausibility.names import NAME_HINTS
from orchestrator.submissions.plausibility.platforms import platforms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.facts.parts import KnownParts
    from orchestrator.submissions.findings import Finding, Rule, Rulebook
    from orchestrator.submissions.plausibility.platforms import PlatformRows

HINTS: tuple[Rule[PlatformRows], ...] = (*NAME_HINTS, *FIGURE_HINTS)


def hints_of(
    columns: Sequence[str], rows: Iterable[Sequence[str]], parts: KnownParts, book: Rulebook
) -> tuple[Finding, ...]:
    """What is odd about the results of a summary, system by system."""
    return tuple(
        hint for system in platforms_of(columns, rows, parts, book) for hint in findings_of(HINTS, system, book)
    )
