"""Options that commands of `mlorch images` share, and the password of a key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.common import is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]


def names_argument(function: Command) -> Command:
    """Layers and references of images, handed on as ``names``."""
    return click.argument("names", nargs=-1, metavar="[LAYER|IMAGE]...")(function)


def registry_option(function: Command) -> Command:
    """`--registry`: images as they lie there, not in the engine."""
    return click.option("--registry", default="", metavar="HOST[:PORT][/PATH]", help="The images of that registry.")(
        function
    )


def key_option(text: str) -> Callable[[Command], Command]:
    """`--key`: a file with a key, handed on as a path or None."""
    return click.option("--key", type=click.Path(dir_okay=False, path_type=Path), default=None, help=text)


def password() -> str:
    """The password of a key: from the environment, else asked where a person is. Never shown, never kept."""
    from orchestrator.images.attest.keys import PASSWORD_VARIABLE

    given = os.environ.get(PASSWORD_VARIABLE)
    if given is not None:
        return given
    if not is_terminal():
        return ""
    return str(click.prompt("password of the key", hide_input=True, err=True, default=""))
