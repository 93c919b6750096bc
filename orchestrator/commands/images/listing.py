"""`mlorch images list` and `prune`: our images in the engine and in registries; those that no plan needs removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import SHOWN, context_options, say_rest

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.context import Context


@click.command("list")
@click.argument("registries", nargs=-1, metavar="[REGISTRY]...")
@click.option("--unused", is_flag=True, help="Only those that no current plan has.")
@click.option("--all", "show_all", is_flag=True, help=f"Show all (default: {SHOWN}, those in use first).")
@context_options
def list(  # noqa: A001 (the verb)
    context: Context, console: Console, registries: tuple[str, ...], *, unused: bool, show_all: bool
) -> int:
    """Show the images of mlorch: in the engine, and in each REGISTRY (default: the configured ones).

    "In use" means that some target's plan of the current recipes has it.
    """
    from orchestrator.operations.images.listing import list_images

    found = list_images(context, registries, unused=unused)
    if console.quiet:
        console.document({"images": found.images})
    elif not found.images:
        console.result("no images of mlorch")
    else:
        used_first = sorted(found.images, key=lambda image: not image.in_use)
        shown = used_first if show_all else used_first[:SHOWN]
        rows = [
            (
                image.layer,
                image.content_id[:12],
                image.platform,
                image.where,
                f"{image.bytes / 1e6:.1f}",
                image.digest[:19],
                "yes" if image.in_use else "no",
            )
            for image in shown
        ]
        columns = ("layer", "content id", "platform", "where", "MB", "digest", "in use")
        console.table(columns, rows, right=(4,), drop=(5, 2))
        say_rest(console, len(shown), len(found.images), "images", first="the first")
    return 0 if found.whole else 1


@click.command("prune")
@click.option("--yes", is_flag=True, help="Remove them; without it they are only shown.")
@context_options
def prune(context: Context, console: Console, *, yes: bool) -> None:
    """Show, or with --yes remove, images of mlorch in the engine that no plan of the current recipes has.

    Artefacts of runs (compiled engines, quantised weights) go with their image. Give the same --recipes as
    when building. Images of others, also those built on mlorch's, are never touched.
    """
    from orchestrator.operations.images.listing import prune

    done = prune(context, remove=yes)
    if console.quiet:
        console.document(done)
        return
    for image in done.images:
        console.result(f"  {image.state:8} {image.layer}  {image.content_id[:12]}  {image.why}".rstrip())
    what = "freed" if yes else "can be freed: `mlorch images prune --yes`"
    if done.artifact_bytes:
        console.result(f"artefacts of images that are gone: {done.artifact_bytes / 1e6:.1f} MB {what}")
    size = f"{done.bytes / 1e6:.1f} MB"
    console.result(f"{len(done.images)} of {done.looked_at} images are not needed; {size} {what}")
