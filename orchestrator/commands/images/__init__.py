"""`mlorch images`: what images are made of, and where they are."""

from __future__ import annotations

import click

from orchestrator.commands.groups import LazyCommands

SUMMARIES = {
    "list": "Show images of mlorch in the engine and in registries.",
    "lock": "Pin what layers are made of: base digests, commits, packages.",
    "prune": "Remove images that no current plan needs.",
    "pull": "Get images from registries; build none.",
    "push": "Publish images in a registry.",
    "rebuild": "Build layers again without any cache; --verify compares them with what is there.",
    "sbom": "Print what is in an image (CycloneDX) and how it came to be (in-toto, SLSA).",
    "keygen": "Make a key pair to sign images with.",
    "sign": "Write SBOM and provenance of images, sign them, put them beside the image.",
    "verify": "Check images against the plan, their documents and a key.",
    "bundle": "Write images, models, data, recipes and documents into one file.",
    "load": "Take such a file in, with no network.",
}
COMMANDS = {
    "listing": ("list", "prune"),
    "lock": ("lock",),
    "registry": ("pull", "push"),
    "rebuild": ("rebuild",),
    "attestations": ("sbom", "keygen", "sign", "verify"),
    "bundle": ("bundle", "load"),
}
"""The commands of each module, functions of the same name there."""
MODULES = {name: f"images.{module}:{name}" for module, names in COMMANDS.items() for name in names}


@click.group("images", cls=LazyCommands, modules=MODULES, summaries=SUMMARIES)
def command() -> None:
    """Lock, publish, get, list and remove images; say, sign, check and rebuild what is in them."""
