"""Whether images may be pulled, from where, and whether they may be built; and the image sources that follow."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.images.pull import ImageSources
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Talk


def option(name: str, default: Any) -> Any:
    """A field of a request that the command line gives by the option ``name``."""
    return field(default=default, metadata={"option": name})


def words_of(request: Any) -> Iterator[str]:
    """The options of a command line that say what ``request`` says beyond its defaults."""
    for known in fields(request):
        name, value = known.metadata.get("option"), getattr(request, known.name)
        if not name or value == known.default:
            continue
        if isinstance(value, bool):
            yield name if value else name.replace("--", "--no-")
        elif isinstance(value, tuple):
            for each in value:
                yield from (name, str(each))
        else:
            yield from (name, str(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class PullPolicy:
    """How images may come to be in the engine.

    ``pull``: None asks registries where some are configured, True insists on it, False asks none.
    ``images`` is a published list whose digests bind; ``registries`` stand for the configured ones;
    the caches are registry prefixes where BuildKit keeps and finds the results of steps.
    """

    pull: bool | None = option("--pull", None)
    build: bool = option("--build", default=True)
    images: str = option("--images", "")
    registries: tuple[str, ...] = ()
    """Settings, which have no option."""
    cache_to: str = option("--cache-to", "")
    cache_from: tuple[str, ...] = option("--cache-from", ())


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
