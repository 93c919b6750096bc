"""`mlorch submission`: trees of a round, built and checked."""

from __future__ import annotations

import click

from orchestrator.commands.groups import LazyCommands

SUMMARIES = {
    "build": "Build the tree of a round from results.",
    "check": "Check a tree by the rules of its round.",
    "explain": "Say from which lines of which files a row comes.",
    "repair": "Mend what needs no answer from anybody.",
    "summary": "Write the summary of a tree as CSV or as a page.",
    "pack": "Pack a tree into one archive with a manifest.",
    "verify": "Hold an archive or a tree to its manifest.",
    "redact": "Put on record that files of a packed tree were removed or changed.",
}
MODULES = {
    "build": "submission_build",
    "check": "submission_check:check",
    "explain": "submission_explain",
    "repair": "submission_repair",
    "summary": "submission_check:summary",
    "pack": "submission_pack:pack",
    "verify": "submission_pack:verify",
    "redact": "submission_pack:redact",
}


@click.group("submission", cls=LazyCommands, modules=MODULES, summaries=SUMMARIES)
def command() -> None:
    """Build what is submitted to a round of MLPerf Inference, and check it before it is sent."""
