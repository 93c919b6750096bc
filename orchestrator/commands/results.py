"""`mlorch results`: list, show, compare, verify and report what ran; the store of published results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import reads_results, results_options, say_rest, shorten_options
from orchestrator.commands.groups import Group
from orchestrator.commands.images.options import key_option, password
from orchestrator.commands.results_store import import_, query, store_option, top

if TYPE_CHECKING:
    from orchestrator.console import Console

_run_argument = click.argument("run", default="latest")
_runs_argument = click.argument("runs", nargs=-1, metavar="[RUN]…")


@click.group("results", cls=Group)
def command() -> None:
    """List, show, compare, verify and report results.

    RUN is a run's id, a beginning or end of it that fits one run only, its folder, or `latest`.
    """


command.add_command(import_)
command.add_command(query)
command.add_command(top)


@command.command("list")
@shorten_options
@click.option("--benchmark", "-b", default="", metavar="NAME", help="Only runs of this benchmark.")
@click.option("--valid", is_flag=True, help="Only runs whose result counts.")
@click.option("--where", default="", metavar="SQL", help="List what fits this condition in the store of results.")
@store_option
@results_options
def list_(
    last: int | None,
    benchmark: str,
    where: str,
    store: Path | None,
    folder: Path,
    console: Console,
    *,
    valid: bool,
) -> None:
    """List the runs, newest first: the newest 20, unless --last or --all says otherwise.

    With --where the results of the store instead (`results import`), by a condition such as
    "benchmark = 'resnet' AND accelerators = 8".
    """
    if where:
        if benchmark or valid:
            raise click.UsageError("--where says it all: put the benchmark, or `valid`, into its condition")
        _list_store(where, store, last, console)
        return
    from orchestrator.commands.results_view import show_listing
    from orchestrator.operations.results import list_runs

    listing = list_runs(folder, console, last=last, benchmark=benchmark, valid=valid)
    if console.quiet:
        console.document(listing.document())
        return
    show_listing(console, listing)
    say_rest(console, len(listing.results), listing.total, "runs")


def _list_store(where: str, store: Path | None, last: int | None, console: Console) -> None:
    from orchestrator.commands.results_store_view import show_listed
    from orchestrator.operations.results_store import list_store

    listed = list_store(where, store, last=last)
    if console.quiet:
        console.document(listed.document())
        return
    show_listed(console, listed)
    say_rest(console, len(listed.results), listed.total, "results", first="the first")


@command.command("show")
@_run_argument
@results_options
def show(run: str, folder: Path, console: Console) -> None:
    """Show one run: verdict and why, metrics, latencies, settings and where they came from."""
    from orchestrator.commands.results_view import show_summary
    from orchestrator.operations.results import show_run, shown_document

    summary = show_run(folder, run, console)
    if console.quiet:
        console.document(shown_document(summary))
    else:
        show_summary(console, summary)


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


@command.command("compare")
@click.argument("was", default="previous")
@click.argument("now", default="last")
@click.option(
    "--tolerance", "allowed", default="5%", callback=tolerance, show_default=True, metavar="SHARE",
    help="How much worse a figure may be and still count as the same.",
)  # fmt: skip
@click.option("--if-any", is_flag=True, help="Where there is nothing to compare with yet, say so and succeed.")
@store_option
@results_options
def compare(
    was: str, now: str, allowed: float, store: Path | None, folder: Path, console: Console, *, if_any: bool
) -> int:
    """Compare the runs NOW (default: the last session) with WAS (default: the session before it).

    Each is a run's id or folder, a session's id, a folder of results (of each test the newest
    run), `last` or `previous`. Exit status 1 when a figure that counts got worse, or when the
    new run is not VALID and so has none.

    Two systems of the store (`results import`) are `store:` and a platform, a result's key or the
    beginning of one: `store:v5.1/closed/Dell/XE9680`. Exit status 0 whichever is better.
    """
    if was.startswith("store:") or now.startswith("store:"):
        if not (was.startswith("store:") and now.startswith("store:")):
            raise click.UsageError(
                "a run and a result of the store cannot be compared: import the runs, then name both"
            )
        return _compare_store(was, now, allowed, store, console)
    from orchestrator.commands.results_view import show_comparisons
    from orchestrator.operations.compare import compare_runs

    compared = compare_runs(folder, was, now, tolerance=allowed, if_any=if_any)
    if compared.why_none:
        console.say(f"nothing to compare with yet: {compared.why_none}")
    if console.quiet:
        console.document(compared.document())
    elif compared.comparisons:
        show_comparisons(console, compared.comparisons, allowed)
    return 1 if compared.regressed else 0


def _compare_store(was: str, now: str, allowed: float, store: Path | None, console: Console) -> int:
    from orchestrator.commands.results_store_view import show_store_comparison
    from orchestrator.operations.results_store import compare_store

    compared = compare_store(was, now, store, tolerance=allowed)
    if console.quiet:
        console.document(compared.document())
    else:
        show_store_comparison(console, compared, allowed)
    return 0


@command.command("verify")
@_runs_argument
@key_option("Public key (PEM) that every record has to be signed with.")
@results_options
def verify(runs: tuple[str, ...], key: Path | None, folder: Path, console: Console) -> int:
    """Check that the files of runs are what was recorded and agree with each other (default: all runs).

    Without --key it finds damage and careless edits: whoever may write into the folder can make the record, its
    hashes and its seal anew. With --key only a record that was signed passes (`results sign`, `run --sign-key`).
    Exit status 1 when something does not hold.
    """
    from orchestrator.commands.results_view import show_verification
    from orchestrator.images.attest.signatures import verifier_of
    from orchestrator.operations.results import verified_document, verify_runs

    verified = verify_runs(folder, runs, console, verifier_of(key))
    if console.quiet:
        console.document(verified_document(verified))
    else:
        show_verification(console, verified)
    return 0 if all(one.ok for one in verified) else 1


@command.command("sign")
@_runs_argument
@key_option("Private key (PEM, ECDSA on P-256; `mlorch images keygen` makes one).", required=True)
@results_options
def sign(runs: tuple[str, ...], key: Path, folder: Path, console: Console) -> None:
    """Sign the records of runs whose files are what was recorded (default: those of the latest session).

    A record has the hashes of all its files, so `results verify --key` finds every change that comes later.
    """
    from orchestrator.images.attest.signatures import load_signer
    from orchestrator.operations.signing import sign_runs

    signed = sign_runs(folder, runs, load_signer(key, password), console)
    if console.quiet:
        console.document({"results": signed})
        return
    for one in signed:
        console.result(f"{one.run_id}: signed with {one.key[:12]}, {one.signature}")


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
    "--results",
    "results_dir",
    type=click.Path(file_okay=False),
    help="Folder of results (default: ./results); -o is the report here.",
)
@reads_results
def report(runs: tuple[str, ...], output: Path | None, folder: Path, console: Console, *, force: bool) -> None:
    """Write a report as one HTML file: of the runs named, or of the latest session."""
    from orchestrator.operations.results import write_report

    written = write_report(folder, runs, console, output=output, force=force)
    if console.quiet:
        console.document(written)
    else:
        console.result(str(written.report))
