"""`mlorch images list`: our images in the engine and in registries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_for, json_option, recipes_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.operations.images.listing import ListedImage

SHOWN = 20
"""Rows without --all."""


@click.command("list")
@click.argument("registries", nargs=-1, metavar="[REGISTRY]...")
@click.option("--unused", is_flag=True, help="Only those that no current plan has.")
@click.option("--all", "all_", is_flag=True, help=f"All of them (default: {SHOWN}, those in use first).")
@recipes_option
@json_option
def command(registries: tuple[str, ...], recipes: tuple[str, ...], *, unused: bool, all_: bool, as_json: bool) -> int:
    """Show the images of mlorch: in the engine, and in each REGISTRY (default: the configured ones).

    "In use" means that some target's plan of the current recipes has it.
    """
    from orchestrator.console import Console
    from orchestrator.operations.images.listing import ListRequest, list_images

    console = Console(quiet=as_json)
    found = list_images(context_for(console, recipes), ListRequest(registries=registries, unused=unused), console)
    if as_json:
        console.document({"images": found.images})
    else:
        _show(console, found.images, None if all_ else SHOWN)
    return 0 if found.whole else 1


def _show(console: Console, images: Sequence[ListedImage], limit: int | None) -> None:
    if not images:
        console.result("no images of mlorch")
        return
    shown = sorted(images, key=lambda image: not image.in_use)[:limit]
    console.table(
        ("layer", "content id", "platform", "where", "MB", "digest", "in use"),
        [
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
        ],
        right=(4,),
    )
    if len(shown) < len(images):
        console.say(f"{len(shown)} of {len(images)} images, those in use first; --all shows them all")
