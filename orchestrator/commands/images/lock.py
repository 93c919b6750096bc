"""`mlorch images lock`: pin what images are made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_for, json_option, locked_option, recipes_option, wants_locked

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.images.lock import LockedLayer


@click.command("lock")
@click.argument("layers", nargs=-1)
@click.option("--update", "-u", multiple=True, metavar="NAME", help="Move only this package, image or repository.")
@click.option(
    "--platform", "platforms", multiple=True, metavar="NAME", help="linux/amd64 or linux/arm64 (default: those in use)."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder to write to (default: images/ beside the recipes).",
)
@locked_option
@recipes_option
@json_option
def lock(
    layers: tuple[str, ...],
    update: tuple[str, ...],
    platforms: tuple[str, ...],
    output: Path | None,
    recipes: tuple[str, ...],
    *,
    locked: bool | None,
    as_json: bool,
) -> None:
    """Pin what LAYERS (default: all) are made of to what there is now.

    Base images by the digest that their registry gives for the tag, git refs by their
    commit, Debian packages by signed package lists (needs apt), wheels by the index
    (needs pip). A file is written only when a pin changed; everything above a changed
    layer is then built anew. With --locked nothing is written, and every pin that would
    change is a fault at its line of the lock.
    """
    from orchestrator.console import Console
    from orchestrator.operations.images.lock import LockRequest, lock

    console = Console(quiet=as_json)
    context = context_for(console, recipes, locked=wants_locked(locked))
    request = LockRequest(layers=layers, update=update, platforms=platforms, output=output)
    done = []
    for one in lock(context, request):
        done.append(one)
        if not as_json and not (context.locked and one.changes):
            _show(console, one)
    if as_json:
        unlocked = [base for one in done for base in one.unlocked]
        console.document({"locks": [one.document() for one in done], "unlocked": unlocked})


def _show(console: Console, one: LockedLayer) -> None:
    if not one.changes:
        if not (one.new and one.unlocked):  # else a warning says it all
            console.result(f"{one.layer}: nothing changed")
        return
    console.result(f"{one.layer}: {len(one.changes)} changed, {one.path}")
    for change in one.changes:
        console.result(f"  {change.name}: {change.was or 'new'} -> {change.now or 'gone'}")
