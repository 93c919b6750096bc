"""`mlorch images list`: our images in the engine and in registries."""

from __future__ import annotations

import click

from orchestrator.commands.common import SHOWN, context_for, json_option, recipes_option, say_rest


@click.command("list")
@click.argument("registries", nargs=-1, metavar="[REGISTRY]...")
@click.option("--unused", is_flag=True, help="Only those that no current plan has.")
@click.option("--all", "show_all", is_flag=True, help=f"Show all (default: {SHOWN}, those in use first).")
@recipes_option
@json_option
def command(
    registries: tuple[str, ...], recipes: tuple[str, ...], *, unused: bool, show_all: bool, as_json: bool
) -> int:
    """Show the images of mlorch: in the engine, and in each REGISTRY (default: the configured ones).

    "In use" means that some target's plan of the current recipes has it.
    """
    from orchestrator.console import Console
    from orchestrator.operations.images.listing import ListRequest, list_images

    console = Console(quiet=as_json)
    request = ListRequest(registries=registries, unused=unused)
    found = list_images(context_for(console, recipes), request, console)
    if as_json:
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
