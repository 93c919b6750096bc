"""`mlorch images`: what images are made of, and where they are."""

from __future__ import annotations

import click

from orchestrator.commands.groups import LazyCommands

COMMANDS: dict[str, str] = {
    "lock": "Pin the packages of layers to what the distribution and the index have now.",
}


@click.group("images", cls=LazyCommands, modules={name: f"images_{name}" for name in COMMANDS}, summaries=COMMANDS)
def command() -> None:
    """Lock what images are made of."""
