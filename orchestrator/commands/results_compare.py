"""`mlorch results compare`: did it get slower, and what was different."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, results_option, results_to_read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.results.compare import Comparison, Difference

_SHOWN = 12
"""Differences shown for a test; --json has all."""


def tolerance(_ctx: click.Context, _param: click.Parameter, text: str) -> float:
    """``5%`` or ``0.05`` as a share."""
    number = text.strip().removesuffix("%")
    try:
        value = float(number) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise click.BadParameter(f"`{text}` is no tolerance: write a percentage such as 5%, or a share such as 0.05")
    return value


@click.command("compare")
@click.argument("was", default="previous")
@click.argument("now", default="last")
@click.option(
    "--tolerance", "allowed", default="5%", callback=tolerance, show_default=True, metavar="SHARE",
    help="How much worse a figure may be and still count as the same.",
)  # fmt: skip
@click.option("--if-any", is_flag=True, help="Where there is nothing to compare with yet, say so and succeed.")
@results_option
@json_option
@click.pass_context
def compare(
    ctx: click.Context,
    was: str,
    now: str,
    allowed: float,
    results_dir: str | None,
    *,
    if_any: bool,
    as_json: bool,
) -> None:
    """Compare the runs NOW (default: the last session) with WAS (default: the session before it).

    Each is a run's id or folder, a session's id, a folder of results (of each test the newest
    run), `last` or `previous`. Exit status 1 when a figure that counts got worse, or when the
    new run is not VALID and so has none.
    """
    from orchestrator.console import Console
    from orchestrator.operations.compare import CompareRequest, compare_runs

    console = Console(quiet=as_json)
    request = CompareRequest(
        folder=results_to_read(results_dir, console), was=was, now=now, tolerance=allowed, if_any=if_any
    )
    compared = compare_runs(request)
    if compared.why_none:
        console.say(f"nothing to compare with yet: {compared.why_none}")
    if as_json:
        console.document(compared.document())
    elif compared.comparisons:
        _show(console, compared.comparisons, allowed)
    ctx.exit(1 if compared.regressed else 0)


# -- for people --------------------------------------------------------------------------------

_COLUMNS = ("test", "figure", "was", "is", "change", "verdict")
_COLOURS = {"better": "green", "same": "green", "worse": "bold red", "not comparable": "bold red"}


def _show(console: Console, comparisons: Sequence[Comparison], allowed: float) -> None:
    from orchestrator.ci.markers import markdown_table
    from orchestrator.errors import Problem

    rows = [row for one in comparisons for row in _rows(one)]
    title = f"{comparisons[0].was.record.started.utc} against {comparisons[0].now.record.started.utc}"
    coloured = [(*row[:-1], f"[{_COLOURS.get(row[-1], 'dim')}]{row[-1]}[/]") for row in rows]
    console.table(_COLUMNS, coloured, title=title, right=(2, 3, 4))
    note = f"tolerance {allowed * 100:g} %; a verdict in brackets decides nothing"
    console.result(note)
    console.summary(markdown_table(f"mlorch: {title}", _COLUMNS, rows, right=(2, 3, 4), note=note))
    for one in comparisons:
        _differences(console, one)
    for one in comparisons:
        if one.regressed:
            name = _test(one)
            hint = "what differed stands above; `mlorch results show` has each run whole"
            slug = "regression" if one.verdict == "worse" else "no-result"
            console.problem(Problem(slug=slug, message=f"{name}: {one.reason}", hint=hint))


def _test(one: Comparison) -> str:
    record = one.now.record
    return f"{record.benchmark} {record.scenario} {record.mode}"


def _rows(one: Comparison) -> list[tuple[str, ...]]:
    from orchestrator.facts.metrics import text

    if not one.figures:
        return [(_test(one), "verdict", one.was.verdict, one.now.verdict, "–", one.verdict)]
    return [
        (
            _test(one) if index == 0 else "",
            figure.name,
            text(figure.was, figure.unit),
            text(figure.now, figure.unit),
            "–" if figure.change is None else f"{figure.change:+.2f} {'points' if figure.unit == '%' else '%'}",
            figure.verdict if figure.decides else f"({figure.verdict})",
        )
        for index, figure in enumerate(one.figures)
    ]


def _differences(console: Console, one: Comparison) -> None:
    """What differed in what ran, the image and the data first."""
    if not one.differences:
        console.say(f"{_test(one)}: image, data, settings and host are the same", style="dim")
        return
    console.say(f"{_test(one)}: {len(one.differences)} differences in what ran")
    for each in one.differences[:_SHOWN]:
        console.say(f"  {each.what}: {_short(each.was)} -> {_short(each.now)}")
    if len(one.differences) > _SHOWN:
        console.say(f"  … and {len(one.differences) - _SHOWN} more; --json has all")
    if any(_is_data(each) for each in one.differences):
        console.warn(f"{_test(one)}: the model or the data differ, so this is another piece of work")


def _is_data(each: Difference) -> bool:
    return each.what.startswith(("model ", "dataset "))


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
