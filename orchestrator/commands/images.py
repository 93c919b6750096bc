"""`mlorch images`: what images are made of, and where they are."""

from __future__ import annotations

import click

from orchestrator.commands.groups import LazyCommands

COMMANDS: dict[str, str] = {
    "lock": "Pin the packages of layers to what the distribution and the index have now.",
    "sbom": "Print what is in an image (CycloneDX) and how it came to be (in-toto, SLSA).",
    "keygen": "Make a key pair to sign images with.",
    "sign": "Write SBOM and provenance of images, sign them, put them beside the image.",
    "verify": "Check images against the plan, their documents and a key.",
    "bundle": "Write images, models, data, recipes and documents into one file.",
    "load": "Take such a file in, with no network.",
}


@click.group("images", cls=LazyCommands, modules={name: f"images_{name}" for name in COMMANDS}, summaries=COMMANDS)
def command() -> None:
    """Lock what images are made of; say, sign and check what is in them."""
