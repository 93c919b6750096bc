"""One result of a tree, read, judged and explained; the lines of what it comes from are looked for at the end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.submissions.explain.columns import columns_of
from orchestrator.submissions.explain.outcomes import defects_that_touch, looked_at
from orchestrator.submissions.explain.values import Case, Explained
from orchestrator.submissions.figures import figure_of, wanted_keys
from orchestrator.submissions.gather import Source, gather_mapping, gather_results, gather_system
from orchestrator.submissions.judge import judge_system
from orchestrator.submissions.lines import Lines
from orchestrator.submissions.places import before
from orchestrator.submissions.reading import Reader
from orchestrator.submissions.rows import Shown, rows_of
from orchestrator.submissions.rules.accuracy import judged
from orchestrator.submissions.rules.power import metric_of
from orchestrator.submissions.tree import list_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.submissions.explain.values import Column, Origin
    from orchestrator.submissions.facts import ResultFacts
    from orchestrator.submissions.findings import Rulebook
    from orchestrator.submissions.judge import SystemOutcome


def locations(root: Path, book: Rulebook) -> tuple[str, ...]:
    """The paths of all results of a tree, in order. Raises OSError for ``root`` itself only."""
    template = book.checker.layout.results.split("/")

    def wanted(path: str) -> bool:
        """Whether a folder may lead to a result: only as deep as the layout, and where it has a name, that one."""
        parts = path.split("/")
        if len(parts) >= len(template) or parts[0] not in book.checker.divisions:
            return False
        return template[len(parts) - 1].startswith("{") or parts[-1] == template[len(parts) - 1]

    tree = list_tree(root, wanted)
    depth = len(template)
    return tuple(sorted(each.path for each in tree.root.walk() if each.path.count("/") == depth - 1))


def explain_result(root: Path, location: str, book: Rulebook) -> Explained:
    """Explain the result whose folder is ``location``, one of `locations`. Raises OSError for ``root`` only."""
    names = _names(location, book)
    start = f"{names['division']}/{names['submitter']}"
    tree = list_tree(root, lambda path: f"{path}/".startswith(f"{start}/") or f"{start}/".startswith(f"{path}/"))
    listed = {folder.path: list(folder.folders) for folder in tree.root.walk()}
    if not book.as_official:
        for folder in tree.root.walk():
            folder.sort()
    reader = Reader(root, wanted_keys(book.round))
    try:
        source = Source(tree, reader, book.round)
        _only(source, names["model"], before(book.checker.layout.results, "model"), names)
        system = gather_system(source, names["division"], names["submitter"], names["system"])
        mapping, _ = gather_mapping(source, names["division"], names["submitter"])
        results = list(gather_results(source, system, mapping))
    finally:
        reader.close()
    (result,) = [each for each in results if each.path == location]
    outcome = judge_system(system, results, book)
    order = listed[location.rpartition("/")[0]]  # the official checker counts in the file system's order
    theirs_in_order = sorted(results, key=lambda each: order.index(each.folder))
    official = judge_system(system, theirs_in_order, replace(book, as_official=True))
    looked = looked_at(result, outcome.findings, book)
    rows, theirs = _rows(outcome, location, book), _rows(official, location, book)
    columns = book.checker.columns
    return Explained(
        location=location,
        round=book.round.name,
        taken=bool(rows),
        rows=_with_lines(root, _explained(result, rows, mapping, book)),
        rules=looked,
        defects=defects_that_touch(looked, rows, theirs, columns, book.checker.summary_form),
    )


def _names(location: str, book: Rulebook) -> dict[str, str]:
    """What the folders on the way to a result are called, by the layout's names."""
    parts = zip(book.checker.layout.results.split("/"), location.split("/"), strict=True)
    return {template[1:-1]: part for template, part in parts if template.startswith("{")}


def _only(source: Source, model: str, template: str, names: Mapping[str, str]) -> None:
    """Leave one model in the listing of a system's results: what counts for a row is read, and nothing else."""
    path = template
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", value)
    folder = source.folder(path)
    if folder is not None:
        folder.folders = {model: folder.folders[model]}


def _rows(outcome: SystemOutcome, location: str, book: Rulebook) -> list[tuple[str, ...]]:
    place = book.checker.columns.index("Location")
    return [row for row in outcome.rows if row[place] == location]


def _explained(
    result: ResultFacts, rows: Sequence[tuple[str, ...]], mapping: Mapping[str, str], book: Rulebook
) -> tuple[tuple[Column, ...], ...]:
    model = book.round.models.get(result.model)
    if model is None:
        return ()
    if not rows:  # what it would show if nothing were wrong
        figure = figure_of(result.run.log, book.round, model, result.scenario)
        power = metric_of(result, book.checker.inferred_samples) if result.power is not None else None
        accuracy = judged(result, book).column(book.checker.accuracy_column)
        shown = Shown(figure.value or 0, figure.inferred, accuracy, power, 1)
        rows = rows_of(result, model, shown, book)
    found: list[tuple[Column, ...]] = []
    for row in rows:
        named = dict(zip(book.checker.columns, row, strict=True))
        of_power = result.power is not None and named["Units"] in book.checker.power_units.values()
        case = Case(result, model, book, named, mapping)
        found.append(columns_of(case, of_power=of_power, whole=not found))
    return tuple(found)


def _with_lines(root: Path, rows: tuple[tuple[Column, ...], ...]) -> tuple[tuple[Column, ...], ...]:
    """The same with the lines of keys: each file is looked through once for all of them."""
    wanted: dict[str, set[str]] = {}
    for row in rows:
        for column in row:
            for origin in column.origins:
                if origin.key and not origin.line:
                    wanted.setdefault(origin.path, set()).add(origin.key)
    lines = Lines(root)
    try:
        found = {path: lines.of_keys(path, keys) for path, keys in wanted.items()}
    finally:
        lines.close()

    def placed(origin: Origin) -> Origin:
        place = found.get(origin.path, {}).get(origin.key)
        if origin.line or place is None or not place.line:
            return origin
        return origin._replace(line=place.line, raw=place.raw or origin.raw)

    return tuple(
        tuple(column._replace(origins=tuple(placed(origin) for origin in column.origins)) for column in row)
        for row in rows
    )
