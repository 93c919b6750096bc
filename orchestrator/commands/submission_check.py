"""`mlorch submission check` and `summary`: a tree by the rules of its round."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.common import context_for, engine_option, json_option, recipes_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.submissions import SubmissionCheck


def check_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What is checked, and by which rules."""
    for option in (
        json_option,
        recipes_option,
        click.option(
            "--as-official",
            is_flag=True,
            help="Keep the known defects of the round's official checker, so that the summary is the official one.",
        ),
        click.option(
            "--cache/--no-cache",
            default=True,
            show_default=True,
            help="Take what was found of systems whose files did not change since the last check.",
        ),
        click.option("--skip", multiple=True, metavar="RULE", help="A rule that is not looked at; repeatable."),
        click.option("--submitter", default="", metavar="NAME", help="Only this submitter's part of the tree."),
        click.option("--round", "round_name", required=True, metavar="NAME", help="The round, such as v5.1."),
        click.argument("tree", type=click.Path(path_type=Path)),
    ):
        function = option(function)
    return function


@click.command("check")
@click.option("--csv", "csv", type=click.Path(path_type=Path, dir_okay=False), help="Write the summary there.")
@click.option(
    "--format", "form", type=click.Choice(("text", "json", "sarif", "github")), default="text", show_default=True,
    help="How the findings are written: for people, as --json, as SARIF 2.1.0, as annotations of GitHub Actions.",
)  # fmt: skip
@click.option(
    "--watch", is_flag=True, help="Go on until Ctrl-C: check what changes, and show findings that come and go."
)
@click.option(
    "--official", is_flag=True,
    help="Run the round's official checker too, in its own image, and show both verdicts side by side.",
)  # fmt: skip
@click.option(
    "--target", "-t", default=None, metavar="NAME",
    help="With --official: the target whose runtime the image is built on (default: auto).",
)  # fmt: skip
@engine_option
@check_options
def check(
    csv: Path | None, form: str, recipes: tuple[str, ...], target: str | None, engine: str, *,
    watch: bool, official: bool, as_json: bool, **options: Any,
) -> int:  # fmt: skip
    """Check the submission in TREE: the folder that holds the divisions.

    Says every rule that something breaks, where, and what to do. Exit status 1 when something would be refused; with
    --official, by either of both checkers.
    """
    from orchestrator.commands.submission_check_view import show
    from orchestrator.console import Console
    from orchestrator.operations.submissions import write_summary

    form = "json" if as_json else form
    if watch:
        return _watch(csv, "official" if official else form, recipes, **options)
    console = Console(quiet=form in {"json", "sarif"})
    if official:
        if form not in {"text", "json"}:
            raise click.UsageError(f"--official is told as text or as JSON, not as {form}")
        return _check_officially(console, csv, context_for(console, recipes, engine=engine), target, **options)
    found = _checked(console, recipes, **options)
    if csv is not None:
        write_summary(found, csv)
    show(console, found, form)
    return 0 if found.good else 1


def _watch(csv: Path | None, form: str, recipes: tuple[str, ...], **options: Any) -> int:
    from orchestrator.commands.submission_watch_view import watch
    from orchestrator.console import Console
    from orchestrator.errors import UsageError
    from orchestrator.operations.submissions import CheckRequest

    if form != "text":
        raise UsageError(
            f"--watch goes on until Ctrl-C, and cannot with `{form}`",
            hint="leave out --watch, or --json, --format and --official",
            slug="watch-is-text",
        )
    console = Console()
    request = CheckRequest(round=options.pop("round_name"), **options)
    return watch(console, context_for(console, recipes), request, csv)


def _check_officially(console: Console, csv: Path | None, context: Context, target: str | None, **options: Any) -> int:
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.commands.submission_check_view import show
    from orchestrator.commands.submission_official_view import show_side_by_side
    from orchestrator.operations.submission_official import check_officially
    from orchestrator.operations.submissions import CheckRequest, write_summary

    request = CheckRequest(round=options.pop("round_name"), **options)
    found = check_officially(context, request, ConsoleProgress(console), target=target)
    if csv is not None:
        write_summary(found.ours, csv)
    if console.quiet:
        console.document(found.document())
    else:
        show(console, found.ours, "text")
        show_side_by_side(console, found)
    return 0 if found.good else 1


@click.command("summary")
@click.option("--csv", "csv", type=click.Path(path_type=Path, dir_okay=False), help="Write the summary there as CSV.")
@click.option(
    "--html", "html", type=click.Path(path_type=Path, dir_okay=False),
    help="Write it there as one page: rows to filter, and what is found of each result.",
)  # fmt: skip
@check_options
def summary(csv: Path | None, html: Path | None, recipes: tuple[str, ...], *, as_json: bool, **options: Any) -> int:
    """Write the summary of the submission in TREE: a row for each result that would be taken.

    The columns are those of the round's official checker. Exit status 1 when something would be refused.
    """
    from orchestrator.commands.submission_check_view import show_counts
    from orchestrator.console import Console
    from orchestrator.operations.submissions import CheckRequest, check_submission, write_page, write_summary

    if csv is None and html is None:
        raise click.UsageError("say where to: --csv FILE, --html FILE or both")
    console = Console(quiet=as_json)
    context = context_for(console, recipes)
    found = check_submission(context, CheckRequest(round=options.pop("round_name"), **options))
    written = {}
    if csv is not None:
        write_summary(found, csv)
        written["csv"] = str(csv)
    if html is not None:
        write_page(context, found, html)
        written["html"] = str(html)
    if as_json:
        document = found.document()
        document.pop("findings")
        console.document({**document, **written})
    else:
        show_counts(console, found)
        for path in written.values():
            console.say(f"written: {path}")
    return 0 if found.good else 1


def _checked(console: Console, recipes: tuple[str, ...], **options: Any) -> SubmissionCheck:
    from orchestrator.operations.submissions import CheckRequest, check_submission

    request = CheckRequest(round=options.pop("round_name"), **options)
    return check_submission(context_for(console, recipes), request)
