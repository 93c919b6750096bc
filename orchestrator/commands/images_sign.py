"""`mlorch images sign`: write an image's SBOM and provenance, sign all, put them beside the image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, recipes_option, selection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.commands.images_pick import Pick
    from orchestrator.images.attest.keys import Signer
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection


@click.command("sign")
@click.argument("images", nargs=-1, metavar="[LAYER|IMAGE]...")
@selection_options
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Private key (PEM, ECDSA P-256); without one nothing is signed.",
)
@click.option("--registry", default="", metavar="HOST[:PORT][/PATH]", help="The images of that registry.")
@recipes_option
@json_option
def command(
    images: tuple[str, ...],
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
    from orchestrator.commands.images_pick import password, pick
    from orchestrator.console import Console
    from orchestrator.images.attest.keys import load_signer
    from orchestrator.operations.context import Context

    context, console = Context(recipes), Console(quiet=as_json)
    signer = load_signer(key, password) if key is not None else None
    rows = []
    for one in pick(context, chosen, images, registry):
        row = sign_one(context, one, signer)
        rows.append(row)
        if not as_json:
            what = "signed" if signer else "documents written"
            console.result(f"{what}: {row['image']}@{row['digest']}\n  in {row['place']}")
    if as_json:
        console.document({"images": rows})


def sign_one(context: Context, one: Pick, signer: Signer | None) -> dict[str, object]:
    """Make the documents of an image and keep them, here or beside it in its registry.

    Raises:
        UsageError: no layer of the plans is this image: what cannot be explained is not vouched for.
        StepFailed: the image in the registry is not the one that the plan says (`content-id`).
    """
    from orchestrator.commands.images_pick import digest_in_engine, subject
    from orchestrator.errors import UsageError
    from orchestrator.images.attest.kept import documents, keep

    if one.plan is None or one.step is None:
        raise UsageError(
            f"no layer of these plans is {one.reference}, so nothing is known about how it was made",
            hint="sign with the recipes that it was built from (a tag, --recipes)",
            slug="unknown-image",
        )
    if one.local:
        digest = digest_in_engine(context, one.reference)
        made = documents(subject(context, one.plan, one.step, digest), signer, one.step.repository)
        return {"image": one.step.image, "digest": digest, "place": str(keep(made)), "signed": signer is not None}
    return _in_registry(context, one, signer)


def _in_registry(context: Context, one: Pick, signer: Signer | None) -> dict[str, object]:
    import json

    from orchestrator.commands.images_pick import subject
    from orchestrator.errors import StepFailed
    from orchestrator.facts.references import parse_reference
    from orchestrator.images.attest.attach import attach
    from orchestrator.images.attest.evidence import image_manifest
    from orchestrator.images.attest.kept import documents
    from orchestrator.images.registry.client import Registry

    assert one.plan is not None, "sign_one has seen it"
    assert one.step is not None, "and this"
    reference = parse_reference(one.reference)
    registry = Registry.at(reference.host)
    manifest = image_manifest(registry, reference, one.step.platform)
    config = json.loads(registry.read_blob(reference.repository, manifest.config().digest))
    labels = (config.get("config") or {}).get("Labels") or {}
    if labels.get("org.mlorch.content-id") != one.step.content_id:
        raise StepFailed(
            f"{reference} is no image of layer `{one.step.name}` as planned: its content id is "
            f"{labels.get('org.mlorch.content-id', 'none')}",
            hint="`mlorch images verify` says more; push the right image again",
            slug="content-id",
        )
    name = f"{reference.host}/{reference.repository}"
    made = documents(subject(context, one.plan, one.step, manifest.digest), signer, name)
    put = attach(registry, reference.repository, manifest.descriptor(), made)
    return {
        "image": str(reference),
        "digest": manifest.digest,
        "place": name,
        "signed": signer is not None,
        "attached": list(put),
    }
