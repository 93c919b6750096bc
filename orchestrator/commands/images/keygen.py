"""`mlorch images keygen`: a key pair to sign images with."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.commands.common import json_option
from orchestrator.commands.images.options import password


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
def command(prefix: Path, *, as_json: bool) -> None:
    """Make a key pair (ECDSA on P-256, PEM). MLORCH_KEY_PASSWORD or a prompt gives the password of the private half."""
    from orchestrator.console import Console
    from orchestrator.operations.images.keygen import KeygenRequest, keygen

    console = Console(quiet=as_json)
    secret = password()
    if not secret:
        console.warn("the private key is not encrypted: no password was given")
    made = keygen(KeygenRequest(prefix=prefix, password=secret))
    if as_json:
        console.document(made)
    else:
        console.result(f"{made.key} keep it secret\n{made.pub} give it to everybody; its sha256 is {made.sha256}")
