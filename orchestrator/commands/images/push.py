"""`mlorch images push`: publish images, so that others need not build them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_for, json_option, one_or_many, recipes_option, selection_options
from orchestrator.commands.images.options import key_option, password

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.operations.images.publish import Publication
    from orchestrator.operations.plan_cache import Selection


@click.command("push")
@click.argument("registry", metavar="REGISTRY")
@selection_options
@click.option(
    "-o",
    "--output",
    default="",
    metavar="FILE",
    help="Write the digests of what was published to FILE (YAML; JSON where it ends in .json).",
)
@click.option(
    "--tag",
    default="latest",
    show_default=True,
    metavar="NAME",
    help="Name under which people find the finished images, of every platform; empty gives none.",
)
@key_option("Private key (PEM, ECDSA P-256) to sign the finished images, their SBOMs and provenance with.")
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
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.console import Console
    from orchestrator.facts.references import parse_registry_prefix
    from orchestrator.images.attest.keys import load_signer
    from orchestrator.operations.images.publish import PublishRequest, push, write_list

    parse_registry_prefix(registry)  # a wrong name is refused before a password is asked for
    signer = load_signer(key, password) if key is not None else None
    request = PublishRequest(registry=registry, tag=tag, overwrite=overwrite, signer=signer)
    console = Console(quiet=as_json)
    context = context_for(console, recipes)
    done = [push(context, selection, request, ConsoleProgress(console)) for selection in chosen]
    if output:
        write_list(Path(output), done)
    if as_json:
        console.document(one_or_many([one.document() for one in done], "pushes"))
        return
    for one in done:
        show(console, one, output)


def show(console: Console, published: Publication, output: str) -> None:
    """What a person sees of a publication; `output` is the list that was written."""
    width = max((len(one.image.layer) for one in published.pushed), default=0)
    for one in published.pushed:
        image = one.image
        console.result(f"  {one.state:6} {image.layer:{width}}  {image.content_id[:12]}  {image.digest}")
    sent = sum(one.state == "pushed" for one in published.pushed)
    console.result(f"{published.registry}: {len(published.pushed)} layers published, {sent} of them now")
    for index in published.indexes:
        console.result(f"  {index.reference} names {', '.join(index.platforms)}")
    for made in published.documents:
        what = "signature, SBOM and provenance" if made.signed else "SBOM and provenance"
        console.result(f"  {what} beside {made.image}")
    if output:
        console.result(f"digests are in {output}; `images: {output}` in mlorch.yaml binds them")
