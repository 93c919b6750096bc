"""All hints of a checked tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.submissions.facts import Document
from orchestrator.submissions.findings import findings_of
from orchestrator.submissions.places import filled
from orchestrator.submissions.plausibility.figures import FIGURE_HINTS
from orchestrator.submissions.plausibility.names import NAME_HINTS
from orchestrator.submissions.plausibility.platforms import described, platforms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchestrator.facts.parts import KnownParts
    from orchestrator.submissions.check import Checked
    from orchestrator.submissions.findings import Finding, Rule, Rulebook
    from orchestrator.submissions.plausibility.platforms import PlatformRows
    from orchestrator.submissions.reading import Reader

HINTS: tuple[Rule[PlatformRows], ...] = (*NAME_HINTS, *FIGURE_HINTS)


def hints_of(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    parts: KnownParts,
    book: Rulebook,
    others: Iterable[PlatformRows] = (),
) -> tuple[Finding, ...]:
    """What is odd about the results of a summary, system by system, and about ``others`` that have no row."""
    systems = (*platforms_of(columns, rows, parts, book), *others)
    return tuple(hint for system in systems for hint in findings_of(HINTS, system, book))


def systems_without_rows(checked: Checked, reader: Reader, parts: KnownParts, book: Rulebook) -> Iterator[PlatformRows]:
    """The systems of which everything would be refused, as far as their descriptions can be read."""
    template = book.checker.layout.results.split("/")
    places = [template.index(f"{{{name}}}") for name in ("division", "submitter", "system")]
    paths = [path.split("/") for path in checked.refused]
    refused = dict.fromkeys(tuple(path[at] for at in places) for path in paths if len(path) > max(places))
    columns = [checked.columns.index(name) for name in ("Division", "Organization", "Platform")]
    shown = {tuple(row[at] for at in columns) for row in checked.rows}
    for division, submitter, system in refused:
        path = filled(book.checker.layout.system, division=division, submitter=submitter, system=system)
        description = reader.document(path) if (division, submitter, system) not in shown else None
        if isinstance(description, Document):
            yield described(description.fields, division, submitter, system, parts, book)
