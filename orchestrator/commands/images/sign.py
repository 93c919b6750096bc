"""`mlorch images sign`: write an image's SBOM and provenance, sign all, put them beside the image."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (an annotation that click's options give)
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_for, json_option, recipes_option, selection_options
from orchestrator.commands.images.options import key_option, names_argument, password, registry_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.operations.plan_cache import Selection


@click.command("sign")
@names_argument
@selection_options
@key_option("Private key (PEM, ECDSA P-256); without one nothing is signed.")
@registry_option
@recipes_option
@json_option
def command(
    names: tuple[str, ...],
    chosen: Sequence[Selection],
    key: Path | None,
    registry: str,
    recipes: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Write SBOM and provenance of images, and with --key sign the image and both.

    For an image of the engine they are kept on this machine (a bundle takes them along);
    for one in a registry (a full name, or --registry) they are put beside it.
    """
    from orchestrator.console import Console
    from orchestrator.images.attest.keys import load_signer
    from orchestrator.operations.images.sign import SignRequest, sign

    console = Console(quiet=as_json)
    signer = load_signer(key, password) if key is not None else None
    request = SignRequest(selections=tuple(chosen), names=names, registry=registry, signer=signer)
    done = []
    for image in sign(context_for(console, recipes), request):
        done.append(image)
        if not as_json:
            what = "signed" if image.signed else "documents written"
            console.result(f"{what}: {image.image}@{image.digest}\n  in {image.place}")
    if as_json:
        console.document({"images": done})
