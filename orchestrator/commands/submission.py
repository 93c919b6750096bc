"""`mlorch submission`: trees of a round, built and checked."""

from __future__ import annotations

import click

from orchestrator.commands.groups import LazyCommands

SUMMARIES = {
    "build": "Build the tree of a round from results.",
    "check": "Check a tree by the rules of its round.",
    "explain": "Say from which lines of which files a row comes.",
    "repair": "Mend what needs no answer from anybody.",
    "summary": "Write the summary of a tree as CSV.",
}
MODULES = {
    "build": "submission_build",
    "check": "submission_check:check",
    "explain": "submission_explain",
    "repair": "submission_repair",
    "summary": "submission_check:summary",
}


@click.group("submission", cls=LazyCommands, modules=MODULES, summaries=SUMMARIES)
def command() -> None:
    """Build what is submitted to a round of MLPerf Inference, and check it before it is sent."""
