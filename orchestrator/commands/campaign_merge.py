"""`mlorch campaign merge`: what other machines measured, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.campaign_plan import campaign_argument
from orchestrator.commands.common import counted, output_option, results_option

if TYPE_CHECKING:
    from orchestrator.console import Console


@click.command("merge")
@campaign_argument
@click.argument("others", nargs=-1, required=True, metavar="FOLDER...")
@results_option
@output_option
def command(campaign: str, others: tuple[str, ...], results_dir: str | None, console: Console) -> int:
    """Bring what the campaigns in each FOLDER measured (the parts of `--shard`) into that of CAMPAIGN.

    Two results of one test of performance are a conflict: both are shown, and nothing is merged.
    """
    from orchestrator.definitions.settings import read_settings
    from orchestrator.operations.campaign.merge import merge_campaigns
    from orchestrator.operations.campaign.places import folder_of

    results = read_settings().results_folder(results_dir)
    merged = merge_campaigns(folder_of(results, campaign), [Path(other) for other in others], console)
    if console.quiet:
        console.document(merged.document())
    else:
        console.result(f"{counted(len(merged.taken), 'cell')} taken")
        if merged.duplicates:
            console.result(f"{counted(len(merged.duplicates), 'accuracy test')} on both sides, with one outcome")
        console.say(f"results: {merged.folder}")
    return 1 if merged.unreadable else 0
