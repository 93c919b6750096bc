"""`mlorch images push`: publish images, so that others need not build them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, recipes_option, selection_options

OUTPUT_HELP = "Write the digests of what was published to FILE (YAML; JSON where it ends in .json)."

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.operations.kept_plans import Selection


@click.command("push")
@click.argument("registry", metavar="REGISTRY")
@selection_options
@click.option("-o", "--output", default="", metavar="FILE", help=OUTPUT_HELP)
@click.option(
    "--tag",
    default="latest",
    show_default=True,
    metavar="NAME",
    help="Name under which people find the finished images, of every platform; empty gives none.",
)
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Private key (PEM, ECDSA P-256) to sign the finished images, their SBOMs and provenance with.",
)
@click.option("--overwrite", is_flag=True, help="Replace what lies under a content id with other bytes.")
@recipes_option
@json_option
def command(
    registry: str,
    chosen: Sequence[Selection],
    output: str,
    tag: str,
    key: Path | None,
    recipes: tuple[str, ...],
    *,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Send the images of a target to REGISTRY (HOST[:PORT][/PATH]), every layer under its content id.

    Layers that are there are not sent again; SBOM and provenance go beside each finished
    image. Credentials are those of `docker login`.
    """
    from orchestrator.commands.images_pick import password
    from orchestrator.commands.publishing import prep_selection, publish, show, write_list
    from orchestrator.console import Console
    from orchestrator.facts.references import parse_registry_prefix
    from orchestrator.images.attest.keys import load_signer
    from orchestrator.operations.context import Context

    parse_registry_prefix(registry)  # a name that is none is told before an engine is asked
    signer = load_signer(key, password) if key is not None else None
    context, console = Context(recipes), Console(quiet=as_json)
    documents = []
    for selection in chosen:
        plans = context.plans(selection).plans
        prep = prep_selection(context, selection, plans)
        sides = context.plans(prep).plans if prep else ()
        if any(context.look_up()([side.image])[side.image] is None for side in sides):
            console.warn("the image that prepares models and data is not here; `mlorch build --push` publishes it too")
            sides = ()
        documents.append(
            publish(context, plans, registry, console, tag=tag, overwrite=overwrite, signer=signer, sides=sides)
        )
    if output:
        write_list(output, documents)
    if as_json:
        console.document(documents[0] if len(documents) == 1 else {"pushes": documents})
        return
    for document in documents:
        show(console, document, output)
