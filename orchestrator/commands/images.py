"""`mlorch images`: what images are made of, and where they are."""

from __future__ import annotations

import click

from orchestrator.commands.groups import LazyCommands

COMMANDS: dict[str, str] = {
    "list": "Show images of mlorch in the engine and in registries.",
    "lock": "Pin the packages of layers to what the distribution and the index have now.",
    "prune": "Remove images that no current plan needs.",
    "pull": "Get images from registries; build none.",
    "push": "Publish images in a registry.",
}


@click.group("images", cls=LazyCommands, modules={name: f"images_{name}" for name in COMMANDS}, summaries=COMMANDS)
def command() -> None:
    """Lock what images are made of, publish them, get them, list and remove them."""
