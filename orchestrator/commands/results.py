"""`mlorch results`: list, show, compare, verify and report what ran."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.commands.common import json_option, results_option, results_to_read
from orchestrator.commands.groups import Group
from orchestrator.commands.results_compare import compare
from orchestrator.commands.shorten import say_rest, shorten_options

_run_argument = click.argument("run", default="latest")
_runs_argument = click.argument("runs", nargs=-1, metavar="[RUN]…")


@click.group("results", cls=Group)
def command() -> None:
    """List, show, compare, verify and report results.

    RUN is a run's id, a beginning or end of it that fits one run only, its folder, or `latest`.
    """


command.add_command(compare)


@command.command("list")
@shorten_options
@click.option("--benchmark", "-b", default="", metavar="NAME", help="Only runs of this benchmark.")
@click.option("--valid", is_flag=True, help="Only runs whose result counts.")
@results_option
@json_option
def list_(last: int | None, benchmark: str, results_dir: str | None, *, valid: bool, as_json: bool) -> None:
    """List the runs, newest first: the newest 20, unless --last or --all says otherwise."""
    from orchestrator.commands.results_view import show_listing
    from orchestrator.console import Console
    from orchestrator.operations.results import ListRequest, list_runs

    console = Console(quiet=as_json)
    request = ListRequest(folder=results_to_read(results_dir, console), last=last, benchmark=benchmark, valid=valid)
    listing = list_runs(request, console)
    if as_json:
        console.document(listing.document())
        return
    show_listing(console, listing)
    say_rest(console, len(listing.results), listing.total, "runs")


@command.command("show")
@_run_argument
@results_option
@json_option
def show(run: str, results_dir: str | None, *, as_json: bool) -> None:
    """Show one run: verdict and why, metrics, latencies, settings and where they came from."""
    from orchestrator.commands.results_view import show_summary
    from orchestrator.console import Console
    from orchestrator.operations.results import show_run

    console = Console(quiet=as_json)
    shown = show_run(results_to_read(results_dir, console), run, console)
    if as_json:
        console.document(shown.document())
    else:
        show_summary(console, shown.summary)


@command.command("verify")
@_runs_argument
@results_option
@json_option
@click.pass_context
def verify(ctx: click.Context, runs: tuple[str, ...], results_dir: str | None, *, as_json: bool) -> None:
    """Check that the files of runs are what was recorded and agree with each other (default: all runs).

    Exit status 1 when something does not hold.
    """
    from orchestrator.commands.results_view import show_verification
    from orchestrator.console import Console
    from orchestrator.operations.results import verify_runs

    console = Console(quiet=as_json)
    verified = verify_runs(results_to_read(results_dir, console), runs, console)
    if as_json:
        console.document(verified.document())
    else:
        show_verification(console, verified)
    ctx.exit(0 if verified.ok else 1)


@command.command("report")
@_runs_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write (default: report-SESSION.html among the results).",
)
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@click.option(
    "--results", "results_dir", type=click.Path(file_okay=False), help="Folder of results (default: ./results)."
)
@json_option
def report(runs: tuple[str, ...], output: Path | None, results_dir: str | None, *, force: bool, as_json: bool) -> None:
    """Write a report as one HTML file: of the runs named, or of the latest session."""
    from orchestrator.console import Console
    from orchestrator.operations.results import ReportRequest, write_report

    console = Console(quiet=as_json)
    request = ReportRequest(folder=results_to_read(results_dir, console), runs=runs, output=output, force=force)
    written = write_report(request, console)
    if as_json:
        console.document(written.document())
    else:
        console.result(str(written.report))
