"""`mlorch submission explain`: from which lines of which files a row comes."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options
from orchestrator.facts.neutral import one_line

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.submissions.explain.values import Column, Explained, Origin

_LONGEST = 160
"""Characters of a value or of what stands in a file."""


@click.command("explain")
@click.argument("tree", type=click.Path(path_type=Path))
@click.argument("row")
@click.option("--round", "round_name", required=True, metavar="NAME", help="The round, such as v5.1.")
@click.option("--as-official", is_flag=True, help="Explain the row that the official checker writes.")
@context_options
def command(tree: Path, row: str, round_name: str, *, as_official: bool, context: Context, console: Console) -> int:
    """Say where each column of a ROW of the summary of TREE comes from: files, lines, and how it is computed.

    ROW is its Location, or names of folders on the way there, in order, as far as they tell it apart, such as
    `Acme/resnet/Offline`; parts of the names do. Also said: the rules that were looked at, and what came of each; and
    the known defects of the official checker that touch the result. Exit status 1 when it would be refused.
    """
    from orchestrator.operations.submission_explain import ExplainRequest, explain_row

    request = ExplainRequest(tree=tree, row=row, round=round_name, as_official=as_official)
    found = explain_row(context, request)
    if console.quiet:
        console.document(found.document())
    else:
        _show(console, found.explained)
    return 0 if found.explained.taken else 1


def _show(console: Console, found: Explained) -> None:
    verdict = "" if found.taken else ": would be refused, and has no row; this is what it would be made of"
    console.result(f"{one_line(found.location)} ({found.round}){verdict}")
    for number, row in enumerate(found.rows):
        console.result()
        if number:
            console.result("the row of the power, where it differs:")
        for column in row:
            _show_column(console, column)
    console.result()
    _show_rules(console, found)
    for defect in found.defects:
        console.result(f"the official checker ({defect.id}): {defect.official} Here: {defect.here}")


def _show_column(console: Console, column: Column) -> None:
    console.result(f"{column.name} = {_short(column.value)}")
    console.result(f"    {_short(column.how)}")
    for origin in column.origins:
        console.result(f"    {_place(origin)}{_said(origin)}")


def _place(origin: Origin) -> str:
    lines = f":{origin.line}" if origin.line else ""
    if origin.last:
        lines += f"-{origin.last}"
    return one_line(origin.path) + lines


def _said(origin: Origin) -> str:
    words = " = ".join(word for word in (origin.key, _short(origin.raw)) if word)
    return f"  {words}" if words else ""


def _short(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _show_rules(console: Console, found: Explained) -> None:
    console.result(f"{len(found.rules)} rules were looked at:")
    for part, looked in groupby(found.rules, key=lambda each: each.part):
        rules = list(looked)
        good = [each.rule for each in rules if not each.findings]
        console.result(f"  {part}: {', '.join(good) or 'none'}: good" if good else f"  {part}:")
        for each in rules:
            for finding in each.findings:
                console.result(f"    {each.rule}: {finding.level}: {_short(finding.message)} ({each.source})")
