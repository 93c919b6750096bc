"""`mlorch images sbom`, `keygen`, `sign` and `verify`: what images hold, who vouches for them, whether it is true."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options, json_option
from orchestrator.commands.images.options import images_argument, key_option, password, registry_option

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.images.attestations import VerifiedImage
    from orchestrator.operations.images.pick import ImageSelection

_WORDS = {True: "pass", False: "FAIL", None: "none"}


@click.command("sbom")
@images_argument
@click.option("--provenance", "as_provenance", is_flag=True, help="Print the provenance instead of the SBOM.")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Write NAME.cdx.json and NAME.provenance.json into this folder.",
)
@context_options
def sbom(
    context: Context, console: Console, images: ImageSelection, output: Path | None, *, as_provenance: bool
) -> None:
    """Print the SBOM (CycloneDX) of images that the engine has; with -o write it and the provenance (in-toto, SLSA).

    The same image gives the same bytes. Several images need -o or --json.
    """
    from orchestrator.errors import UsageError
    from orchestrator.host.files import require_folder
    from orchestrator.operations.images.attestations import sbom, write_documents

    if output is not None:
        require_folder(output)
    found = sbom(context, images)
    if console.quiet:
        console.document({"images": [one.document() for one in found]})
    elif output is not None:
        for path in write_documents(found, output):
            console.result(str(path))
    elif len(found) == 1:
        made = found[0].made
        console.result((made.provenance if as_provenance else made.sbom).decode().rstrip("\n"))
    else:
        raise UsageError(
            f"these are {len(found)} images: {', '.join(one.name for one in found)}",
            hint="name one, or write them with -o FOLDER",
        )


@click.command("keygen")
@click.option(
    "-o",
    "--output",
    "prefix",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("mlorch"),
    help="Writes PREFIX.key (0600) and PREFIX.pub (default: ./mlorch).",
)
@json_option
def keygen(prefix: Path, *, as_json: bool) -> None:
    """Make a key pair (ECDSA on P-256, PEM). MLORCH_KEY_PASSWORD or a prompt gives the password of the private half."""
    from orchestrator.console import Console
    from orchestrator.operations.images.attestations import keygen

    console = Console(quiet=as_json)
    secret = password()
    if not secret:
        console.warn("the private key is not encrypted: no password was given")
    made = keygen(prefix, secret)
    if as_json:
        console.document(made)
    else:
        console.result(f"{made.key} keep it secret\n{made.pub} give it to everybody; its sha256 is {made.sha256}")


@click.command("sign")
@images_argument
@key_option("Private key (PEM, ECDSA P-256); without one nothing is signed.")
@registry_option
@context_options
def sign(context: Context, console: Console, images: ImageSelection, key: Path | None) -> None:
    """Write SBOM and provenance of images, and with --key sign the image and both.

    For an image of the engine they are kept on this machine (a bundle takes them along);
    for one in a registry (a full name, or --registry) they are put beside it.
    """
    from orchestrator.images.attest.signatures import signer_of
    from orchestrator.operations.images.attestations import sign

    done = []
    for image in sign(context, images, signer_of(key, password)):
        done.append(image)
        if not console.quiet:
            what = "signed" if image.signed else "documents written"
            console.result(f"{what}: {image.image}@{image.digest}\n  in {image.place}")
    if console.quiet:
        console.document({"images": done})


@click.command("verify")
@images_argument
@key_option("Public key (PEM) that the images have to be signed with.")
@registry_option
@context_options
def verify(context: Context, console: Console, images: ImageSelection, key: Path | None) -> int:
    """Check images against the plan and their documents: digest, content id, packages inside, provenance, signature.

    An IMAGE with a registry's name is checked there, without an engine. Exit 1 when a check fails.
    """
    from orchestrator.images.attest.signatures import verifier_of
    from orchestrator.operations.images.attestations import verify

    found = []
    for image in verify(context, images, verifier_of(key)):
        found.append(image)
        if not console.quiet:
            _show(console, image)
    if console.quiet:
        console.document({"images": found})
    return 0 if all(image.good for image in found) else 1


def _show(console: Console, image: VerifiedImage) -> None:
    console.result(image.image)
    for check in image.checks:
        console.result(f"  {_WORDS[check.passed]}  {check.name:10}  {check.detail}")
        if check.passed is False and check.hint:
            console.result(f"        = help: {check.hint}")
