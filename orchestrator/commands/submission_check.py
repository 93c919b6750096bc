"""`mlorch submission check` and `summary`: a tree by the rules of its round."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.common import context_for, json_option, recipes_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.console import Console
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
@check_options
def check(csv: Path | None, form: str, recipes: tuple[str, ...], *, watch: bool, as_json: bool, **options: Any) -> int:
    """Check the submission in TREE: the folder that holds the divisions.

    Says every rule that something breaks, where, and what to do. Exit status 1 when something would be refused.
    """
    from orchestrator.commands.submission_check_view import show
    from orchestrator.console import Console
    from orchestrator.operations.submissions import write_summary

    form = "json" if as_json else form
    if watch:
        return _watch(csv, form, recipes, **options)
    console = Console(quiet=form in {"json", "sarif"})
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
            f"--watch goes on, and {form} is a whole document",
            hint="leave out --watch, or --json and --format",
            slug="watch-is-text",
        )
    console = Console()
    request = CheckRequest(round=options.pop("round_name"), **options)
    return watch(console, context_for(console, recipes), request, csv)


@click.command("summary")
@click.option(
    "--csv", "csv", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Write the summary there."
)
@check_options
def summary(csv: Path, recipes: tuple[str, ...], *, as_json: bool, **options: Any) -> int:
    """Write the summary of the submission in TREE: a row for each result that would be taken.

    The columns are those of the round's official checker. Exit status 1 when something would be refused.
    """
    from orchestrator.commands.submission_check_view import show_counts
    from orchestrator.console import Console
    from orchestrator.operations.submissions import write_summary

    console = Console(quiet=as_json)
    found = _checked(console, recipes, **options)
    write_summary(found, csv)
    if as_json:
        document = found.document()
        document.pop("findings")
        console.document({**document, "csv": str(csv)})
    else:
        show_counts(console, found)
    return 0 if found.good else 1


def _checked(console: Console, recipes: tuple[str, ...], **options: Any) -> SubmissionCheck:
    from orchestrator.operations.submissions import CheckRequest, check_submission

    request = CheckRequest(round=options.pop("round_name"), **options)
    return check_submission(context_for(console, recipes), request)
