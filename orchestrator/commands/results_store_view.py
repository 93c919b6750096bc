"""How the store's results are laid out for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.commands.common import counted, shortened

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.results_import import Imported, Source
    from orchestrator.operations.results_store import Listed, StoreComparison, Top
    from orchestrator.results.tables.queries import Answer

_NAMED = 3
_COLOURS = {"better": "green", "worse": "bold red"}


def show_import(console: Console, imported: Imported) -> None:
    """A line for each source, what was mended or found in it, and what the store has now."""
    for source in imported.sources:
        one = source.imported
        console.result(
            f"{one.source}: {counted(one.rows, 'result')} ({one.kind}; {', '.join(one.rounds) or 'no round'})"
        )
        for line in _found_in(source):
            console.say(f"  {line}")
        if source.conflicts:
            names = ", ".join(source.conflicts[:_NAMED])
            console.warn(
                f"{len(source.conflicts):,} results stand there twice with different figures; both are kept: {names}"
            )
        if source.left_out:
            console.warn(f"left out, as their records cannot be read: {', '.join(source.left_out[:_NAMED])}")
    added = imported.added
    if added.again:
        differ = f", {added.differ:,} of them with another figure" if added.differ else ""
        console.say(f"{added.again:,} results are in the store from another import too{differ}; the newest counts")
    console.result(f"{imported.store}: {counted(added.total, 'result')}")


def _found_in(source: Source) -> list[str]:
    lines = []
    if source.joined:
        lines.append(f"power joined to {counted(source.joined, 'result')}")
    if source.doubled:
        lines.append(f"{source.doubled:,} rows said again what was there")
    if source.unknown:
        lines.append(f"columns that are kept as they are: {', '.join(source.unknown)}")
    return lines


def show_answer(console: Console, answer: Answer) -> None:
    """Rows as a table."""
    numbers = [
        index for index in range(len(answer.columns)) if any(isinstance(row[index], int | float) for row in answer.rows)
    ]
    rows = [tuple(_cell(value) for value in row) for row in answer.rows]
    console.table(answer.columns, rows, right=numbers)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return figure(value) if isinstance(value, float) else str(value)


def figure(value: float) -> str:
    """A figure with the digits that say something."""
    if value and abs(value) < 1:
        return f"{value:.4g}"
    return f"{value:,.2f}"


def show_listed(console: Console, listed: Listed) -> None:
    """A row a result, with its round."""
    rows = [
        (
            one["round"],
            f"{one['division']} {one['organization']}".strip(),
            one["benchmark"],
            one["scenario"],
            "–" if one["result"] is None else f"{figure(one['result'])} {one['unit']}",
            _accelerators(one),
            one["system"],
        )
        for one in listed.results
    ]
    columns = ("round", "submitter", "benchmark", "scenario", "result", "accelerators", "system")
    console.table(columns, rows, right=(4,), drop=(6, 5))
    if len(listed.rounds) > 1:
        console.say(f"of {len(listed.rounds)} rounds: {', '.join(listed.rounds)}; their rules differ")


def _accelerators(one: dict[str, Any]) -> str:
    number = one["accelerators"]
    if number is None:
        return one["accelerator"] or "–"
    return f"{number} × {one['accelerator']}" if number else "–"


def show_top(console: Console, top: Top) -> None:
    """A table for each scenario and unit, the best first."""
    ranking = top.ranking
    by = f"result per {ranking.per}" if ranking.per else "result"
    for scenario, unit in dict.fromkeys((one["scenario"], one["unit"]) for one in top.results):
        rows = [_top_row(one, by_result=not ranking.per) for one in top.results
                if (one["scenario"], one["unit"]) == (scenario, unit)]  # fmt: skip
        lower = "" if ranking.per or unit not in {"ms", "min"} else ", lowest first"
        title = f"{ranking.benchmark} {scenario}, by {by} ({unit}{lower})"
        both = ("result",) if ranking.per else ()
        columns = ("#", "round", "submitter", "system", "accelerators", by, *both, "accuracy")
        numbers = (0, 5, 6) if ranking.per else (0, 5)
        console.table(columns, rows, title=title, right=numbers, drop=(len(columns) - 1, 3))
    _say_what_else(console, top)


def _say_what_else(console: Console, top: Top) -> None:
    """What was mended, and what is left out."""
    mended = [one["changed"] for one in top.results if one["changed"]]
    if mended:
        console.say(f"not as it was published, for {len(mended)} of these: {'; '.join(dict.fromkeys(mended[:_NAMED]))}")
    others = [name for name in top.rounds if name != top.round]
    if top.round == "all":
        console.say(f"of {len(top.rounds)} rounds, whose rules differ: {', '.join(top.rounds)}")
    elif others:
        console.say(f"of round {top.round}; --round names another ({', '.join(others)}), `--round all` mixes them")
    if top.ranking.division != "all":
        console.say(f"of the division {top.ranking.division}; --division names another, or all")


def _top_row(one: dict[str, Any], *, by_result: bool) -> tuple[str, ...]:
    accuracy = "" if one["accuracy"] is None else f"{one['accuracy_metric']} {figure(one['accuracy'])}".strip()
    result = () if by_result else (f"{figure(one['result'])} {one['unit']}",)
    inferred = " (inferred)" if one["inferred"] else ""
    return (
        str(one["rank"]),
        one["round"],
        f"{one['organization']}{'' if one['division'] == 'closed' else ' (' + one['division'] + ')'}",
        one["system"] or one["platform"],
        _accelerators(one),
        figure(one["value"]) + inferred,
        *result,
        accuracy,
    )


def show_store_comparison(console: Console, compared: StoreComparison, allowed: float) -> None:
    """A row for each figure of each benchmark and scenario that both have."""
    rows = []
    for pair in compared.pairs:
        for index, one in enumerate(pair.figures):
            change = "–" if one.change is None else f"{one.change:+.2f} %"
            word = f"[{_COLOURS.get(one.verdict, 'dim')}]{one.verdict}[/]"
            name = f"{pair.benchmark} {pair.scenario}" if index == 0 else ""
            unit = f" {one.unit}" if one.unit else ""
            was, now = ("–" if value is None else f"{figure(value)}{unit}" for value in (one.was, one.now))
            rows.append((name, one.name, was, now, change, word))
    first = compared.pairs[0]
    title = f"{_of(first.was)} against {_of(first.now)}"
    console.table(("test", "figure", "first", "second", "change", "second is"), rows, title=title, right=(2, 3, 4))
    console.result(f"tolerance {allowed * 100:g} %")
    if len(compared.rounds) > 1:
        console.warn(f"they are of different rounds ({', '.join(compared.rounds)}), whose rules differ")


def _of(side: dict[str, Any]) -> str:
    words = (side["round"], side["division"], side["organization"], shortened(side["system"] or side["platform"]))
    return " ".join(word for word in words if word)
