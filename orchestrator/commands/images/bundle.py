"""`mlorch images bundle`: everything that benchmarks need, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_for, json_option, recipes_option, selection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.operations.plan_cache import Selection


@click.command("bundle")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; one that is there is replaced when the new one is whole.",
)
@selection_options
@recipes_option
@json_option
def command(
    output: Path,
    chosen: Sequence[Selection],
    recipes: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Write images with all layers, models and data, recipes, locks, SBOMs and provenance into one file.

    What is missing is built and fetched first. `mlorch images load FILE` takes it in on a
    machine with no network; there `mlorch run` finds everything. The file is an OCI layout
    in a tar, so other tools read its images too.
    """
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.console import Console
    from orchestrator.host.process import signals_interrupt
    from orchestrator.operations.images.bundle import BundleRequest, bundle

    console = Console(quiet=as_json)
    request = BundleRequest(output=output, selections=tuple(chosen))
    with signals_interrupt():
        made = bundle(context_for(console, recipes), request, ConsoleProgress(console))
    if as_json:
        console.document(made.document())
        return
    contents = made.written.contents
    size = f"{made.written.size / 1e6:.1f} MB"
    console.result(f"{output}: {size}, {len(contents.files)} files, sha256 {made.written.sha256}")
    for image in contents.images:
        console.result(f"  image    {image.reference}")
    for asset in contents.assets:
        console.result(f"  {asset.kind:8} {asset.name}")
    console.result(f"on the other machine: `mlorch images load {output.name}`")
