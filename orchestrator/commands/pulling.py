"""What a command line says of registries, and the depots that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orchestrator.commands.wiring import Workbench
    from orchestrator.console import Console
    from orchestrator.execute.pull import Depots


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How images may come to be there: ``pull`` None asks registries where some are configured.

    ``images`` is a published list; ``registries`` stand for the configured ones; the caches
    are places in registries, as `--push` takes them.
    """

    pull: bool | None = None
    build: bool = True
    images: str = ""
    registries: tuple[str, ...] = ()
    cache_to: str = ""
    cache_from: tuple[str, ...] = ()


ANY = Wish()
"""What a command wants that says nothing of it."""


def pull_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--pull/--no-pull` and `--images`, handed on as one ``wish``."""

    @wraps(function)
    def collected(*arguments: Any, pull: bool | None, images: str, **more: Any) -> Any:
        return function(*arguments, wish=Wish(pull=pull, images=images), **more)

    pull = click.option(
        "--pull/--no-pull",
        "pull",
        default=None,
        help="Require that registries are asked before building, or ask none (default: those in `registries`).",
    )
    return images_option(pull(collected))


def images_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--images`: the list of published images that binds."""
    return click.option("--images", default="", metavar="FILE", help="A list of published images; their digests bind.")(
        function
    )


def depots(bench: Workbench, wish: Wish, console: Console) -> Depots | None:
    """Where to look for images before building; None where nowhere.

    Raises:
        UsageError: `no-registries` where pulling is required and nothing says from where; a name
            that is no place in a registry; a list that is not there.
        DefinitionError: faults of the list.
    """
    from orchestrator.errors import UsageError

    settings = bench.settings
    listed = wish.images or settings.images
    names = wish.registries or settings.registries
    if wish.pull is False:
        return None
    if not (listed or names):
        if wish.pull:
            raise UsageError(
                "there is no registry to pull from",
                hint="name some: `registries: [HOST:PORT/PATH]` in mlorch.yaml, MLORCH_REGISTRIES, or --images FILE",
                slug="no-registries",
            )
        return None
    from orchestrator.execute.published import read_published
    from orchestrator.execute.pull import Depots
    from orchestrator.registries.references import parse_place

    return Depots(
        places=tuple(parse_place(name) for name in names),
        published=read_published(Path(listed)) if listed else {},
        strict=bool(wish.pull) or not wish.build,
        warn=console.warn,
    )
