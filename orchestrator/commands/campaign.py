"""`mlorch campaign`: many tests as one file, run so that nothing that finished is lost or run twice."""

from __future__ import annotations

import click

from orchestrator.commands.groups import LazyCommands

SUMMARIES = {
    "plan": "Show the cells, which of them are measured, and what would run.",
    "run": "Run the cells that are not measured yet.",
    "resume": "Go on with a campaign that was begun.",
    "status": "Show how far a campaign is; no recipe is read.",
    "merge": "Bring the parts of several machines together.",
    "export": "Write the results of all cells as CSV or JSON.",
}
MODULES = {
    "plan": "campaign_plan",
    "run": "campaign_run:run",
    "resume": "campaign_run:resume",
    "status": "campaign_plan:status",
    "merge": "campaign_merge",
    "export": "campaign_export",
}


@click.group("campaign", cls=LazyCommands, modules=MODULES, summaries=SUMMARIES)
def command() -> None:
    """Run many tests from one file: every cell once, whatever happens in between."""
