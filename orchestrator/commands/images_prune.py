"""`mlorch images prune`: remove images that no plan needs any more."""

from __future__ import annotations

import click

from orchestrator.commands.common import json_option, recipes_option


@click.command("prune")
@click.option("--yes", is_flag=True, help="Remove them; without it they are only shown.")
@recipes_option
@json_option
def command(recipes: tuple[str, ...], *, yes: bool, as_json: bool) -> int:
    """Show, or with --yes remove, images of mlorch in the engine that no plan of the current recipes has.

    Give the same --recipes as when building. Images of others, also those built on mlorch's, are never touched.
    """
    import os

    from orchestrator.console import Console
    from orchestrator.host.detect import platform_of
    from orchestrator.images.prune import ID_LABEL, Removal, freed, own_images, remove, unneeded
    from orchestrator.operations.context import Context
    from orchestrator.operations.images_in_use import current_ids

    context, console = Context(recipes), Console(quiet=as_json)
    every = own_images(context.engine)
    going = unneeded(every, current_ids(context, console, sure_of=platform_of(os.uname().machine)))
    shown = tuple(Removal(image=facts, state="unneeded") for facts in going)
    done = remove(context.engine, going) if yes else shown
    count = freed([one.image for one in done if one.state != "kept"], every)
    if as_json:
        rows = [
            {
                "layer": one.image.labels.get("org.mlorch.layer", ""),
                "content_id": one.image.labels[ID_LABEL],
                "reference": one.image.image,
                "bytes": one.image.size,
                "state": one.state,
                "why": one.why,
            }
            for one in done
        ]
        console.document({"images": rows, "bytes": count, "removed": yes})
        return 0
    for one in done:
        name = one.image.labels.get("org.mlorch.layer", "")
        console.result(f"  {one.state:8} {name}  {one.image.labels[ID_LABEL][:12]}  {one.why}".rstrip())
    said = "freed" if yes else "can be freed: `mlorch images prune --yes`"
    console.result(f"{len(going)} of {len(every)} images are not needed; {count / 1e6:.1f} MB {said}")
    return 0
