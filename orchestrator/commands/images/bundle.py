"""`mlorch images bundle` and `load`: everything that benchmarks need in one file, taken in with no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options, json_option, recipes_option, selection_options
from orchestrator.commands.images.options import key_option, password

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection


@click.command("bundle")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; one that is there is replaced when the new one is whole.",
)
@key_option("Private key (PEM) to sign all that is in it with; `load --key` checks that.")
@selection_options
@context_options
def bundle(context: Context, console: Console, output: Path, key: Path | None, chosen: Sequence[Selection]) -> None:
    """Write images with all layers, models and data, recipes, locks, SBOMs and provenance into one file.

    What is missing is built and fetched first. `mlorch images load FILE` takes it in on a
    machine with no network; there `mlorch run` finds everything. The file is an OCI layout
    in a tar, so other tools read its images too.
    """
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.images.attest.signatures import signer_of
    from orchestrator.operations.images.bundle import bundle

    signer = signer_of(key, password)
    made = bundle(context, chosen, output, ConsoleProgress(console), signer)
    if console.quiet:
        console.document(made.document())
        return
    contents = made.contents
    size = f"{made.size / 1e6:.1f} MB"
    console.result(f"{output}: {size}, {len(contents.files)} files, sha256 {made.sha256}")
    for image in contents.images:
        console.result(f"  image    {image.reference}")
    for asset in contents.assets:
        console.result(f"  {asset.kind:8} {asset.name}")
    console.result(f"on the other machine: `mlorch images load {output.name}`")


@click.command("load")
@click.argument("file", type=click.Path(path_type=Path))
@key_option(
    "Public key (PEM) that all of it has to be signed with (`bundle --key`, `sign --key`); else nothing is taken in."
)
@recipes_option
@json_option
def load(file: Path, key: Path | None, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Take images, models, data and documents of a bundle in. Every byte is checked before anything is used.

    Recipes of the bundle are taken along only where those of this machine would plan other images.
    """
    from orchestrator.console import Console
    from orchestrator.images.attest.signatures import verifier_of
    from orchestrator.operations.images.bundle import load

    console = Console(quiet=as_json)
    verifier = verifier_of(key)
    loaded = load(file, console, recipes=recipes, verifier=verifier)
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
