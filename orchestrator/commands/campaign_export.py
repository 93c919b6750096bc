"""`mlorch campaign export`: the results of a campaign as CSV or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.campaign_plan import campaign_argument
from orchestrator.commands.common import output_option, results_option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.console import Console


@click.command("export")
@campaign_argument
@click.option("--csv", "as_csv", is_flag=True, help="CSV on stdout (default).")
@click.option(
    "--pareto", default="", metavar="A,B", help="Only what nothing else beats: value,accuracy or value,p99_ns."
)
@results_option
@output_option
def command(campaign: str, results_dir: str | None, console: Console, *, as_csv: bool, pareto: str) -> int:
    """Write the result of every cell of CAMPAIGN, read from its records, with its unit and its accuracy.

    In CSV a text that a spreadsheet would take for a formula is marked as text.
    """
    from orchestrator.campaigns.table import pareto as front
    from orchestrator.campaigns.table import to_csv
    from orchestrator.definitions.settings import read_settings
    from orchestrator.operations.campaign.export import campaign_rows
    from orchestrator.operations.campaign.places import folder_of

    if as_csv and console.quiet:
        raise click.UsageError("--csv and --json exclude each other")
    rows: Sequence[Mapping[str, object]] = campaign_rows(
        folder_of(read_settings().results_folder(results_dir), campaign)
    )
    if pareto:
        rows = front(rows, [name.strip() for name in pareto.split(",") if name.strip()])
    if console.quiet:
        console.document({"campaign": campaign, "rows": rows})
    else:
        for line in to_csv(rows).splitlines():
            console.result(line)
    return 0
