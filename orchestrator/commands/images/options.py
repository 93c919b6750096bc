"""What commands of `mlorch images` share: which images are meant, keys, where definitions and output are."""

from __future__ import annotations

import os
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.common import is_terminal, selection_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.operations.plan_cache import Selection

    Command = Callable[..., Any]


def images_argument(function: Command) -> Command:
    """Layers and references of images, and the options of a selection, handed on as ``images``."""

    @wraps(function)
    def called(*arguments: Any, names: tuple[str, ...], chosen: Sequence[Selection], **more: Any) -> Any:
        from orchestrator.operations.images.pick import ImageSelection

        images = ImageSelection(selections=tuple(chosen), names=names, registry=more.pop("registry", ""))
        return function(*arguments, images=images, **more)

    return click.argument("names", nargs=-1, metavar="[LAYER|IMAGE]...")(selection_options(called))


def registry_option(function: Command) -> Command:
    """`--registry`: images as they lie there, not in the engine; for a command with `images_argument`."""
    return click.option("--registry", default="", metavar="HOST[:PORT][/PATH]", help="The images of that registry.")(
        function
    )


def key_option(text: str, *, required: bool = False) -> Callable[[Command], Command]:
    """`--key`: a file with a key, handed on as a path or None."""
    kind = click.Path(dir_okay=False, path_type=Path)
    if required:  # click takes a default of None for a value
        return click.option("--key", type=kind, required=True, help=text)
    return click.option("--key", type=kind, default=None, help=text)


def password() -> str:
    """The password of a key: from the environment, else asked where a person is. Never shown, never kept."""
    from orchestrator.images.attest.signatures import PASSWORD_VARIABLE

    given = os.environ.get(PASSWORD_VARIABLE)
    if given is not None:
        return given
    if not is_terminal():
        return ""
    return str(click.prompt("password of the key", hide_input=True, err=True, default=""))
