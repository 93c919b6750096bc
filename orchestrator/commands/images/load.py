"""`mlorch images load`: take a bundle in, with no network."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.commands.common import json_option, recipes_option
from orchestrator.commands.images.options import key_option


@click.command("load")
@click.argument("file", type=click.Path(path_type=Path))
@key_option("Public key (PEM) that every image has to be signed with; else nothing is taken in.")
@recipes_option
@json_option
def command(file: Path, key: Path | None, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Take images, models, data and documents of a bundle in. Every byte is checked before anything is used.

    Recipes of the bundle are taken along only where those of this machine would plan other images.
    """
    from orchestrator.console import Console
    from orchestrator.host.process import signals_interrupt
    from orchestrator.images.attest.keys import load_verifier
    from orchestrator.operations.images.load import LoadRequest, load

    console = Console(quiet=as_json)
    verifier = load_verifier(key) if key is not None else None
    with signals_interrupt():
        loaded = load(LoadRequest(file=file, recipes=recipes, verifier=verifier), console)
    if as_json:
        console.document(loaded)
        return
    for image in loaded.images:
        console.result(f"  image  {image}")
    for asset in loaded.assets:
        console.result(f"  asset  {asset}")
    console.result("ready, with no network:")
    for line in loaded.run:
        console.result(f"  {line}")
