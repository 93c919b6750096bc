"""`mlorch images sbom`: what is in an image, and how it came to be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_for, json_option, recipes_option, selection_options
from orchestrator.commands.images.options import names_argument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.operations.plan_cache import Selection


@click.command("sbom")
@names_argument
@selection_options
@click.option("--provenance", "as_provenance", is_flag=True, help="Print the provenance instead of the SBOM.")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Write NAME.cdx.json and NAME.provenance.json into this folder.",
)
@recipes_option
@json_option
def command(
    names: tuple[str, ...],
    chosen: Sequence[Selection],
    output: Path | None,
    recipes: tuple[str, ...],
    *,
    as_provenance: bool,
    as_json: bool,
) -> None:
    """Print the SBOM (CycloneDX) of images that the engine has; with -o write it and the provenance (in-toto, SLSA).

    The same image gives the same bytes. Several images need -o or --json.
    """
    from orchestrator.console import Console
    from orchestrator.errors import UsageError
    from orchestrator.operations.images.sbom import SbomRequest, require_folder, sbom, write

    console = Console(quiet=as_json)
    if output is not None:
        require_folder(output)
    found = sbom(context_for(console, recipes), SbomRequest(selections=tuple(chosen), names=names))
    if as_json:
        console.document({"images": [one.document() for one in found]})
    elif output is not None:
        for path in write(found, output):
            console.result(str(path))
    elif len(found) == 1:
        console.result((found[0].provenance if as_provenance else found[0].sbom).decode().rstrip("\n"))
    else:
        raise UsageError(
            f"these are {len(found)} images: {', '.join(one.name for one in found)}",
            hint="name one, or write them with -o FOLDER",
        )
