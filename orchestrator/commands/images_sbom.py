"""`mlorch images sbom`: what is in an image, and how it came to be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, recipes_option, selection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.operations.kept_plans import Selection


@click.command("sbom")
@click.argument("images", nargs=-1, metavar="[LAYER|IMAGE]...")
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
    images: tuple[str, ...],
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
    import json

    from orchestrator.commands.images_pick import digest_in_engine, pick, require_folder, subject
    from orchestrator.console import Console
    from orchestrator.errors import UsageError
    from orchestrator.images.attest.kept import documents
    from orchestrator.operations.context import Context

    context, console = Context(recipes), Console(quiet=as_json)
    if output is not None:
        require_folder(output)
    found = []
    for one in pick(context, chosen, images):
        if one.plan is None or one.step is None:
            raise UsageError(
                f"no layer of these plans is {one.reference}",
                hint="name a layer of `mlorch plan`",
                slug="unknown-image",
            )
        made = documents(subject(context, one.plan, one.step, digest_in_engine(context, one.step.image)))
        found.append((one.step.name, one.step.image, made))
    if as_json:
        console.document(
            {
                "images": [
                    {
                        "name": name,
                        "image": image,
                        "digest": made.digest,
                        "sbom": json.loads(made.sbom),
                        "provenance": json.loads(made.provenance),
                    }
                    for name, image, made in found
                ]
            }
        )
    elif output is not None:
        for name, _, made in found:
            _write(console, output / f"{name}.cdx.json", made.sbom)
            _write(console, output / f"{name}.provenance.json", made.provenance)
    elif len(found) == 1:
        made = found[0][2]
        console.result((made.provenance if as_provenance else made.sbom).decode().rstrip("\n"))
    else:
        raise UsageError(
            f"these are {len(found)} images: {', '.join(name for name, _, _ in found)}",
            hint="name one, or write them with -o FOLDER",
        )


def _write(console: Console, path: Path, data: bytes) -> None:
    from orchestrator.host.files import atomic_write_bytes

    atomic_write_bytes(path, data, overwrite=True)
    console.result(str(path))
