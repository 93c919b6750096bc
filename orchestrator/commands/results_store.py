"""`mlorch results import`, `query` and `top`: the store of published results and our own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options, output_option

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.context import Context

store_option = click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder of the store (default: the user's, below MLORCH_HOME or ~/.local/share/mlorch).",
)
"""`--store`: where the store of results lies."""


@click.command("import")
@click.argument("sources", nargs=-1, metavar="[FILE|URL|TREE|FOLDER]…")
@click.option("--round", "round_name", default="", metavar="NAME", help="The round by whose rules a tree is checked.")
@click.option(
    "--label", default="", metavar="NAME",
    help="Stands for the round of all rows, where the table's name of it is another one's too.",
)  # fmt: skip
@click.option("--skip", multiple=True, metavar="RULE", help="A rule that is not looked at in a tree; repeatable.")
@click.option("--rebuild", is_flag=True, help="Read all sources of the store anew.")
@store_option
@context_options
def import_(
    sources: tuple[str, ...],
    round_name: str,
    label: str,
    skip: tuple[str, ...],
    store: Path | None,
    context: Context,
    console: Console,
    *,
    rebuild: bool,
) -> None:
    """Import results into the store: all that is named, or nothing.

    Each is a summary of MLCommons (CSV or JSON, a file or its URL), a submission tree (with --round), a folder of CM's
    experiments, or a folder of runs. What is imported again takes the place of what was imported from there before.
    """
    from orchestrator.commands.results_store_view import show_import
    from orchestrator.operations.results_import import ImportRequest, import_results
    from orchestrator.operations.results_import import rebuild as rebuild_store

    if rebuild == bool(sources):
        raise click.UsageError("name what is imported, or --rebuild")
    if rebuild:
        imported = rebuild_store(context, store)
    else:
        request = ImportRequest(sources=sources, store=store, round=round_name, label=label, skip=skip)
        imported = import_results(context, request)
    if console.quiet:
        console.document(imported.document())
    else:
        show_import(console, imported)


@click.command("query")
@click.argument("sql")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, help="The most rows.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0.1, 3600), default=30.0, show_default=True, metavar="SECONDS",
    help="The query is ended then.",
)  # fmt: skip
@click.option("--csv", "csv", type=click.Path(path_type=Path, dir_okay=False), help="Write the rows there as CSV.")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@store_option
@output_option
def query(
    sql: str, limit: int, timeout_s: float, csv: Path | None, store: Path | None, console: Console, *, force: bool
) -> None:
    """Ask the store with one SELECT of SQL (DuckDB's), over the view `results`.

    It cannot change the store, nor read or write another file, nor use the network; memory, time and rows have limits.
    """
    from orchestrator.commands.results_store_view import show_answer
    from orchestrator.operations.results_store import query_store, write_csv

    answer = query_store(sql, store, limit=limit, timeout_s=timeout_s)
    if csv is not None:
        write_csv(answer, csv, force=force)
    if console.quiet:
        console.document(answer.document())
    elif csv is None:
        show_answer(console, answer)
    if answer.more:
        console.warn(f"there are more than {limit:,} rows; --limit gives more")


@click.command("top")
@click.option("--benchmark", "-b", required=True, metavar="NAME", help="The checker's name, such as llama2-70b-99.9.")
@click.option("--scenario", "-s", default="", metavar="NAME", help="Only this scenario (default: each).")
@click.option("--per", type=click.Choice(("accelerator", "watt")), default=None, help="Rank by the rate for each.")
@click.option("--round", "round_name", default="", metavar="NAME|all", help="A round (default: the newest there is).")
@click.option("--division", default="closed", show_default=True, metavar="NAME|all", help="The division.")
@click.option("--category", type=click.Choice(("datacenter", "edge")), default=None, help="Only this category.")
@click.option("--number", "-n", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many of each.")
@store_option
@output_option
def top(
    benchmark: str,
    scenario: str,
    per: str | None,
    round_name: str,
    division: str,
    category: str | None,
    number: int,
    store: Path | None,
    console: Console,
) -> None:
    """Show the best results of a benchmark in the store, for each scenario.

    Of one round, unless `--round all` asks for several; results in different units are never ranked together, and of
    latencies the lowest is the best.
    """
    from orchestrator.commands.results_store_view import show_top
    from orchestrator.operations.results_store import top_results
    from orchestrator.results.tables.ranking import Ranking

    ranking = Ranking(
        benchmark=benchmark,
        scenario=scenario,
        per=per or "",
        round=round_name,
        division=division,
        category=category or "",
        number=number,
    )
    found = top_results(ranking, store)
    if console.quiet:
        console.document(found.document())
    else:
        show_top(console, found)
