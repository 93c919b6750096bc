"""The summary of a submission as one self-contained page: rows that can be filtered, and what is found of each.

Filters are lists whose choice a style sheet reads: no script runs. Every value is escaped, as a tree is anybody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.neutral import one_line
from orchestrator.results.report import style_sheet, templates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.facts.checker_rules import Layout
    from orchestrator.submissions.check import Checked
    from orchestrator.submissions.findings import Finding

COLUMNS = {
    "Division": "division",
    "Organization": "submitter",
    "Model": "model",
    "Scenario": "scenario",
    "Platform": "system",
    "Result": "result",
    "Units": "unit",
    "Accuracy": "accuracy",
    "accelerator_model_name": "accelerator",
    "framework": "framework",
}
"""Columns of the summary that the page shows, and how it calls them."""
FILTERED = ("division", "submitter", "model", "scenario")
_RIGHT = frozenset({"result"})
_MOST_FINDINGS = 200
"""Of one result, or of none; the check tells all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A list to choose from: the values that there are."""

    id: str
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRow:
    """A row; ``marks`` say which value of each filter it has, counted from 1."""

    cells: tuple[str, ...]
    marks: tuple[tuple[str, int], ...]
    findings: tuple[Finding, ...]
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the page says."""

    columns: tuple[str, ...]
    right: frozenset[str]
    counts: str
    good: bool
    refused: tuple[str, ...]
    filters: tuple[Filter, ...]
    rows: tuple[ShownRow, ...]
    others: tuple[Finding, ...]


def page_html(checked: Checked, tree: str, layout: Layout) -> str:
    """The page of what a check found in ``tree``, as it is called there."""
    page = page_of(checked, layout)
    title = f"{one_line(tree)}: MLPerf Inference {checked.round}"
    return templates().get_template("submission.html.j2").render(css=style_sheet(), title=title, page=page)


def page_of(checked: Checked, layout: Layout) -> Page:
    """Rows of the summary and refused results, by place, with what is found of each."""
    depth = layout.results.count("/") + 1
    by_place, others = _by_place(checked.findings, layout)
    rows = [_shown(checked, row) for row in checked.rows]
    there = {place for place, _ in rows}
    known = {values["scenario"].lower(): values["scenario"] for _, values in rows}
    rows += [(place, _of_refused(place, known)) for place in _refused(checked, depth) if place not in there]
    rows.sort(key=lambda each: each[0])
    filters = tuple(
        Filter(id=name, name=name, values=tuple(sorted({values[name] for _, values in rows}))) for name in FILTERED
    )
    refused = set(checked.refused)
    return Page(
        columns=tuple(COLUMNS.values()),
        right=_RIGHT,
        counts=f"{checked.results:,} results, {len(checked.rows):,} rows",
        good=checked.good,
        refused=checked.refused,
        filters=filters,
        rows=tuple(
            ShownRow(
                cells=tuple(values.get(name, "") for name in COLUMNS.values()),
                marks=tuple((each.id, each.values.index(values[each.name]) + 1) for each in filters),
                findings=tuple(by_place.get(place, ())),
                refused=place in refused,
            )
            for place, values in rows
        ),
        others=others,
    )


def _shown(checked: Checked, row: Sequence[str]) -> tuple[str, dict[str, str]]:
    named = dict(zip(checked.columns, row, strict=True))
    return named["Location"], {name: one_line(named.get(column, "")) for column, name in COLUMNS.items()}


def _of_refused(place: str, known: Mapping[str, str]) -> dict[str, str]:
    """What the folders of a result say of it, which has no row; a scenario's may be in lower case."""
    division, submitter, _, system, model, scenario = place.split("/")
    values = {"division": division, "submitter": submitter, "model": model, "system": system}
    values["scenario"] = known.get(scenario.lower(), scenario)
    return {name: one_line(value) for name, value in values.items()}


def _refused(checked: Checked, depth: int) -> list[str]:
    return [place for place in checked.refused if place.count("/") == depth - 1]


def _by_place(findings: Iterable[Finding], layout: Layout) -> tuple[dict[str, list[Finding]], tuple[Finding, ...]]:
    """Findings about a result, its measurements and its compliance tests by the folder of the result; the others."""
    pattern = layout.results.split("/")
    at = pattern.index("{submitter}") + 1
    kinds = {place.split("/")[at] for place in (layout.results, layout.measurements, layout.compliance) if place}
    found: dict[str, list[Finding]] = {}
    others: list[Finding] = []
    for one in findings:
        parts = one.path.split("/")
        if len(parts) >= len(pattern) and parts[at] in kinds:
            place = "/".join((*parts[:at], pattern[at], *parts[at + 1 : len(pattern)]))
            into = found.setdefault(place, [])
        else:
            into = others
        if len(into) < _MOST_FINDINGS:
            into.append(one)
    return found, tuple(others)
