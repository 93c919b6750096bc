"""What a command line says of registries, and the depots that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orchestrator.console import Console
    from orchestrator.images.pull import ImageSources
    from orchestrator.operations.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class PullPolicy:
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


DEFAULT_PULL_POLICY = PullPolicy()
"""What a command wants that says nothing of it."""


def pull_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--pull/--no-pull` and `--images`, handed on as one ``pull_policy``."""

    @wraps(function)
    def collected(*arguments: Any, pull: bool | None, images: str, **more: Any) -> Any:
        return function(*arguments, pull_policy=PullPolicy(pull=pull, images=images), **more)

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


def image_sources(context: Context, pull_policy: PullPolicy, console: Console) -> ImageSources | None:
    """Where to look for images before building; None where nowhere.

    Raises:
        UsageError: `no-registries` where pulling is required and nothing says from where; a name
            that is no place in a registry; a list that is not there.
        DefinitionError: faults of the list.
    """
    from orchestrator.errors import UsageError

    settings = context.settings
    listed = pull_policy.images or settings.images
    names = pull_policy.registries or settings.registries
    if pull_policy.pull is False:
        return None
    if not (listed or names):
        if pull_policy.pull:
            raise UsageError(
                "there is no registry to pull from",
                hint="name some: `registries: [HOST:PORT/PATH]` in mlorch.yaml, MLORCH_REGISTRIES, or --images FILE",
                slug="no-registries",
            )
        return None
    from orchestrator.facts.references import parse_registry_prefix
    from orchestrator.images.published_list import read_published
    from orchestrator.images.pull import ImageSources

    return ImageSources(
        places=tuple(parse_registry_prefix(name) for name in names),
        published=read_published(Path(listed)) if listed else {},
        strict=bool(pull_policy.pull) or not pull_policy.build,
        warn=console.warn,
    )
