"""`images lock`: pin what images are made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.definitions.locks import has_pins, lock_text
from orchestrator.errors import DefinitionError
from orchestrator.host.files import atomic_write_text
from orchestrator.host.git import commit_of
from orchestrator.images.registry.images import image_digest
from orchestrator.packages.drift import Change, changes, drifted
from orchestrator.packages.fetch import Fetcher
from orchestrator.packages.locking import Origins, make_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.base import Platform
    from orchestrator.definitions.kinds.layers import Layer
    from orchestrator.definitions.kinds.lock import LayerLock
    from orchestrator.errors import MlorchError, Problem
    from orchestrator.operations.context import Context


_UNREACHABLE = (
    "run it again where that registry can be reached; a digest that you know is given as "
    "--base-source registry:IMAGE@sha256:… (`mlorch build`)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRequest:
    """Which layers and what of them. ``context.locked`` (--locked) writes nothing: what would change is a fault."""

    layers: tuple[str, ...] = ()
    """names; empty means all that have something to pin"""
    update: tuple[str, ...] = ()
    """the packages, images or repositories that may move; empty means all"""
    platforms: tuple[str, ...] = ()
    """empty means those in use"""
    output: Path | None = None
    """the folder to write to; None means `images/` beside the recipes"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlockedBase:
    """A base image that no registry answers for: an element of `unlocked` in the JSON of `images lock`."""

    layer: str
    platform: str
    image: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedLayer:
    """What became of the lock of a layer; ``new`` says that there was none before."""

    layer: str
    path: Path
    changes: tuple[Change, ...]
    unlocked: tuple[UnlockedBase, ...]
    new: bool

    def document(self) -> dict[str, object]:
        """An element of `locks` in the JSON of `images lock`."""
        return {
            "layer": self.layer,
            "path": str(self.path),
            "changes": [change.document() for change in self.changes],
        }


def lock(context: Context, request: LockRequest) -> Iterator[LockedLayer]:
    """Pin each layer to what there is now and write its lock where a pin changed; gives each as soon as it is done.

    What cannot be locked is collected and raised at the end, so that one fault hides no other.

    Raises:
        UsageError: `unknown-layer`.
        DefinitionError: `lock-drift` with --locked, a problem a pin; a base that cannot be looked up
            and stands for none of another kind.
        AssetError: as `packages.locking.make_lock`.
    """
    problems: list[Problem] = []
    for entry in _entries(context.catalog, request.layers):
        one = _LayerLocker(context, entry, request)
        yield one.lock(strict=context.locked)
        problems += one.problems
    if problems:
        raise DefinitionError(problems)


@dataclass(slots=True)
class _LayerLocker:
    """Locks one layer, and collects what it could not look up."""

    context: Context
    entry: Entry[Layer]
    request: LockRequest
    unlocked: list[UnlockedBase] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def lock(self, *, strict: bool) -> LockedLayer:
        """Look up, compare, and write unless ``strict`` forbids it."""
        layer, catalog = self.entry.definition, self.context.catalog
        path = (self.request.output or self.entry.root / "images") / f"{layer.name}.lock.yaml"
        before = _text(path)
        old = catalog.lock(layer.name)
        new = make_lock(
            layer,
            old,
            platforms=self.request.platforms or _platforms(catalog, layer.name, old),
            update=self.request.update,
            origins=self._origins(),
            say=self.context.talk.say,
        )
        found = changes(old, new)
        if strict:
            error = drifted(found, catalog.lock_path(layer.name))
            self.problems += error.problems() if error else ()
        elif found or old is not None:
            if _text(path) != before:
                self.context.talk.warn(f"another command wrote {path} meanwhile; it has what this one found")
            _write(path, new)
        return LockedLayer(layer=layer.name, path=path, changes=found, unlocked=tuple(self.unlocked), new=old is None)

    def _origins(self) -> Origins:
        return Origins(
            digest=lambda image, platform: image_digest(image, platform, self.context.http),
            commit=partial(commit_of, mirrors=self.context.site.git_mirrors),
            unlocked=self._no_digest,
            fetch=Fetcher(site=self.context.site),
        )

    def _no_digest(self, image: str, platform: str, digest: str, error: MlorchError) -> None:
        """What to do about a base that no registry answers for: a fault where the layer has no other base."""
        (first, *_) = error.problems()
        layer = self.entry.definition
        state = f"keeps {digest}" if digest else "stays unlocked"
        message = f"`{image}` of layer `{layer.name}` {state} on {platform}: {error.message}"
        self.unlocked.append(UnlockedBase(layer=layer.name, platform=platform, image=image, why=error.message))
        if digest or any(source.kind != "registry" for source in layer.sources):
            self.context.talk.warn(message)
            return
        span = self.entry.document.span(("sources",), key=True)
        hint = _UNREACHABLE if first.slug in {"registry-down", "registry-slow"} else first.hint
        self.problems.append(replace(first, message=message, span=first.span or span, hint=hint))


def _entries(catalog: Catalog, names: tuple[str, ...]) -> list[Entry[Layer]]:
    """The named layers, or all that have something to pin."""
    if names:
        return [catalog.layer(name) for name in names]
    return [entry for entry in catalog.layers() if has_pins(entry.definition)]


def _write(path: Path, lock: LayerLock) -> None:
    text = lock_text(lock)
    if _text(path) != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, text, overwrite=True)


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _platforms(catalog: Catalog, layer: str, old: LayerLock | None) -> tuple[str, ...]:
    """Those that the lock has, else those of the targets that stand on the layer, else those of every target.

    A vendor's image that a harness needs counts as a target does.
    """
    if old is not None:
        return tuple(sorted(old.platforms))
    targets = [entry.definition for entry in catalog.targets()]
    using = [one for one in targets if layer in {one.base, one.runtime, *one.frameworks.values()}]
    found = {platform for one in using for platform in one.platforms} | _of_vendors(catalog, layer)
    return tuple(sorted(found or {platform for one in targets for platform in one.platforms}))


def _of_vendors(catalog: Catalog, layer: str) -> set[Platform]:
    """The platforms of the vendors' images that stand on a layer."""
    images = [image for entry in catalog.harnesses() for image in entry.definition.images.values()]
    return {platform for one in images if layer in {one.base, one.runtime} for platform in one.platforms}
