"""`mlorch submission`: trees of a round."""

from __future__ import annotations

import click

from orchestrator.commands.groups import LazyCommands

SUMMARIES = {"build": "Build the tree of a round from results."}
MODULES = {"build": "submission_build"}


@click.group("submission", cls=LazyCommands, modules=MODULES, summaries=SUMMARIES)
def command() -> None:
    """Build what is submitted to a round of MLPerf Inference."""
