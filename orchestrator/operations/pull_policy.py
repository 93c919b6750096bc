"""Whether images may be pulled, from where, and whether they may be built; and the image sources that follow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.images.pull import ImageSources
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Talk


@dataclass(frozen=True, slots=True, kw_only=True)
class PullPolicy:
    """How images may come to be in the engine.

    ``pull``: None asks registries where some are configured, True insists on it, False asks none.
    ``images`` is a published list whose digests bind; ``registries`` stand for the configured ones;
    the caches are registry prefixes where BuildKit keeps and finds the results of steps.
    """

    pull: bool | None = None
    build: bool = True
    images: str = ""
    registries: tuple[str, ...] = ()
    cache_to: str = ""
    cache_from: tuple[str, ...] = ()

    def to_argv(self) -> tuple[str, ...]:
        """The options of a command line that says the same; the registries are settings and have none."""
        words: list[str] = []
        if self.pull is not None:
            words.append("--pull" if self.pull else "--no-pull")
        if not self.build:
            words.append("--no-build")
        if self.images:
            words += ["--images", self.images]
        if self.cache_to:
            words += ["--cache-to", self.cache_to]
        for cache in self.cache_from:
            words += ["--cache-from", cache]
        return tuple(words)


DEFAULT_PULL_POLICY = PullPolicy()
"""Where nothing is said of it: registries that are configured are asked, then what is missing is built."""


def image_sources(context: Context, policy: PullPolicy, talk: Talk) -> ImageSources | None:
    """Where to look for images before building; None where nowhere.

    Raises:
        UsageError: `no-registries` where pulling is required and nothing says from where; a name
            that is no registry prefix; a list that does not exist.
        DefinitionError: faults of the list.
    """
    from orchestrator.errors import UsageError

    if policy.pull is False:
        return None
    settings = context.settings
    listed = policy.images or settings.images
    names = policy.registries or settings.registries
    if not listed and not names:
        if not policy.pull:
            return None
        raise UsageError(
            "no registry is configured to pull from",
            hint="name some: `registries: [HOST:PORT/PATH]` in mlorch.yaml, MLORCH_REGISTRIES, or --images FILE",
            slug="no-registries",
        )
    from orchestrator.facts.references import parse_registry_prefix
    from orchestrator.images.publish import read_published
    from orchestrator.images.pull import ImageSources

    return ImageSources(
        prefixes=tuple(parse_registry_prefix(name) for name in names),
        published=read_published(Path(listed)) if listed else {},
        strict=bool(policy.pull) or not policy.build,
        warn=talk.warn,
        http=context.http,
    )
