"""`mlorch images prune`: remove images that no plan needs any more."""

from __future__ import annotations

import click

from orchestrator.commands.common import context_for, json_option, recipes_option


@click.command("prune")
@click.option("--yes", is_flag=True, help="Remove them; without it they are only shown.")
@recipes_option
@json_option
def command(recipes: tuple[str, ...], *, yes: bool, as_json: bool) -> None:
    """Show, or with --yes remove, images of mlorch in the engine that no plan of the current recipes has.

    Give the same --recipes as when building. Images of others, also those built on mlorch's, are never touched.
    """
    from orchestrator.console import Console
    from orchestrator.operations.images.prune import PruneRequest, prune

    console = Console(quiet=as_json)
    done = prune(context_for(console, recipes), PruneRequest(remove=yes), console)
    if as_json:
        console.document(done)
        return
    for image in done.images:
        console.result(f"  {image.state:8} {image.layer}  {image.content_id[:12]}  {image.why}".rstrip())
    what = "freed" if yes else "can be freed: `mlorch images prune --yes`"
    size = f"{done.bytes / 1e6:.1f} MB"
    console.result(f"{len(done.images)} of {done.looked_at} images are not needed; {size} {what}")
