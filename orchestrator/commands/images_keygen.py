"""`mlorch images keygen`: a key pair to sign images with."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.commands.common import json_option


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
    from orchestrator.commands.images_pick import password
    from orchestrator.console import Console
    from orchestrator.host.files import atomic_write_bytes
    from orchestrator.images.attest.keys import generate, load_verifier

    console = Console(quiet=as_json)
    secret = password()
    if not secret:
        console.warn("the private key is not encrypted: no password was given")
    private, public = generate(secret)
    key, pub = prefix.with_name(f"{prefix.name}.key"), prefix.with_name(f"{prefix.name}.pub")
    atomic_write_bytes(key, private, mode=0o600)
    try:
        atomic_write_bytes(pub, public, mode=0o644)
    except BaseException:
        key.unlink()  # half a pair helps nobody
        raise
    fingerprint = load_verifier(pub).fingerprint
    if as_json:
        console.document({"key": str(key), "pub": str(pub), "sha256": fingerprint})
    else:
        console.result(f"{key} keep it secret\n{pub} give it to everybody; its sha256 is {fingerprint}")
