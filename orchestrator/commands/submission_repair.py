"""`mlorch submission repair`: what can be mended without a question."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options, counted
from orchestrator.commands.submission_check_view import show_counts
from orchestrator.facts.neutral import one_line

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.submission_repair import SubmissionRepair


@click.command("repair")
@click.argument("tree", type=click.Path(path_type=Path))
@click.option("--round", "round_name", required=True, metavar="NAME", help="The round, such as v5.1.")
@click.option("--submitter", default="", metavar="NAME", help="Only this submitter's part of the tree.")
@click.option(
    "--model", "models", multiple=True, metavar="FOLDER=MODEL",
    help="Open division: the round's model of results in a folder of another name; repeatable.",
)  # fmt: skip
@click.option(
    "--keep-in", "kept", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Where what is taken away is kept, with the record (default: TREE.kept beside it).",
)  # fmt: skip
@click.option("--dry-run", "dry", is_flag=True, help="Say what would be done and what would be left; change nothing.")
@context_options
def command(
    tree: Path, round_name: str, submitter: str, models: tuple[str, ...], kept: Path | None,
    context: Context, console: Console, *, dry: bool,
) -> None:  # fmt: skip
    """Mend what breaks the rules of a round in TREE and needs no answer from anybody.

    Accuracy logs are truncated, and their hash is written into accuracy.txt; hidden files and compiled Python are
    moved out of the tree, empty folders removed, fields that may be empty added. No result is deleted: whatever is
    taken away or changed is kept, with a record of every step.
    """
    from orchestrator.operations.submission_repair import RepairRequest, repair_submission

    request = RepairRequest(tree=tree, round=round_name, submitter=submitter, models=models, kept=kept, dry=dry)
    done = repair_submission(context, request)
    if console.quiet:
        console.document(done.document())
    else:
        _show(console, done)


def _show(console: Console, done: SubmissionRepair) -> None:
    for step in done.plan.steps:
        console.result(f"{one_line(step.path)}: {step.what} [{step.rule}]")
    if not done.plan.steps:
        console.result("nothing can be mended without a question")
    elif done.kept is None:
        console.result(f"{counted(len(done.plan.steps), 'step')}; nothing was changed")
    else:
        console.result(f"{counted(len(done.plan.steps), 'step')} done; what was there is kept in {done.kept}")
    errors = sum(found.level == "error" for found in done.plan.left)
    if errors:
        console.result(f"{counted(errors, 'error')} left to you: mlorch submission check")
    show_counts(console, done.after)
