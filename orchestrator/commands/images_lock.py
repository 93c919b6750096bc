"""`mlorch images lock`: pin what images are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, locked_option, recipes_option, wants_locked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.console import Console
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.lock import LayerLock
    from orchestrator.definitions.kinds.recipes import Layer
    from orchestrator.errors import MlorchError, Problem
    from orchestrator.packages.drift import Change
    from orchestrator.packages.locking import Origins


_AWAY = (
    "run it again where that registry can be reached; a digest that you know is given as "
    "--base-source registry:IMAGE@sha256:… (`mlorch build`)"
)


@click.command("lock")
@click.argument("layers", nargs=-1)
@click.option("--update", "-u", multiple=True, metavar="NAME", help="Move only this package, image or repository.")
@click.option(
    "--platform", "platforms", multiple=True, metavar="NAME", help="linux/amd64 or linux/arm64 (default: those in use)."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder to write to (default: images/ beside the recipes).",
)
@locked_option
@recipes_option
@json_option
def command(
    layers: tuple[str, ...],
    update: tuple[str, ...],
    platforms: tuple[str, ...],
    output: Path | None,
    recipes: tuple[str, ...],
    *,
    locked: bool | None,
    as_json: bool,
) -> None:
    """Pin what LAYERS (default: all) are made of to what there is now.

    Base images by the digest that their registry gives for the tag, git refs by their
    commit, Debian packages by signed package lists (needs apt), wheels by the index
    (needs pip). A file is written only when a pin changed; everything above a changed
    layer is then built anew. With --locked nothing is written, and every pin that would
    change is a fault at its line of the lock.
    """
    from orchestrator.console import Console
    from orchestrator.errors import DefinitionError
    from orchestrator.operations.context import Context

    console, strict = Console(quiet=as_json), wants_locked(locked)
    catalog = Context(recipes, locked=strict).catalog
    locker = Locker(catalog=catalog, update=update, platforms=platforms, output=output, strict=strict, console=console)
    for entry in _layers(catalog, layers):
        locker.lock(entry)
    if locker.problems:
        raise DefinitionError(locker.problems)
    if as_json:
        console.document({"locks": locker.documents, "unlocked": locker.unlocked})


@dataclass(slots=True, kw_only=True)
class Locker:
    """Locks one layer after the other; what cannot be is collected, so that one fault hides no other."""

    catalog: Catalog
    update: tuple[str, ...]
    platforms: tuple[str, ...]
    output: Path | None
    strict: bool
    console: Console
    documents: list[dict[str, object]] = field(default_factory=list)
    unlocked: list[dict[str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def lock(self, entry: Entry[Layer]) -> None:
        """One layer: look up, compare, and write unless --locked forbids it."""
        from orchestrator.packages.drift import changes, drifted
        from orchestrator.packages.locking import make_lock

        layer = entry.definition
        old = self.catalog.lock(layer.name)
        new = make_lock(
            layer,
            old,
            platforms=self.platforms or _platforms(self.catalog, entry),
            update=self.update,
            origins=_origins(self._told(entry)),
            say=self.console.say,
        )
        found = changes(old, new)
        path = (self.output or entry.root / "images") / f"{layer.name}.lock.yaml"
        if self.strict:
            error = drifted(found, self.catalog.lock_path(layer.name))
            self.problems += error.problems() if error else ()
        elif found or old is not None:
            _write(path, new)
        self.documents.append({"layer": layer.name, "path": str(path), "changes": [c.document() for c in found]})
        silent = not found and any(one["layer"] == layer.name for one in self.unlocked) and old is None
        if not self.console.quiet and not silent and not (self.strict and found):
            _show(self.console, layer.name, found, path)

    def _told(self, entry: Entry[Layer]) -> Callable[[str, str, MlorchError], None]:
        """What to do about a base that no registry answers for: a fault where the layer has no other base."""

        def unlocked(image: str, platform: str, error: MlorchError) -> None:
            from dataclasses import replace

            (first, *_) = error.problems()
            layer, lock = entry.definition, self.catalog.lock(entry.definition.name)
            pins = lock.platforms.get(platform) if lock is not None else None
            kept = next((pin.digest for pin in pins.bases if pin.image == image), "") if pins is not None else ""
            state = f"keeps {kept}" if kept else "stays unlocked"
            self.unlocked.append({"layer": layer.name, "platform": platform, "image": image, "why": error.message})
            message = f"`{image}` of layer `{layer.name}` {state} on {platform}: {error.message}"
            if kept or any(source.kind != "registry" for source in layer.sources):
                self.console.warn(message)
                return
            span = entry.document.span(("sources",), key=True)
            hint = _AWAY if first.slug in {"registry-down", "registry-slow"} else first.hint
            self.problems.append(replace(first, message=message, span=first.span or span, hint=hint))

        return unlocked


def _origins(unlocked: Callable[[str, str, MlorchError], None]) -> Origins:
    from orchestrator.host.git import commit_of
    from orchestrator.images.base_digest import digest_of
    from orchestrator.packages.locking import Origins

    return Origins(digest=digest_of, commit=commit_of, unlocked=unlocked)


def _layers(catalog: Catalog, names: tuple[str, ...]) -> list[Entry[Layer]]:
    """The named layers, or all that have something to pin."""
    from orchestrator.definitions.locks import has_pins

    if names:
        return [catalog.layer(name) for name in names]
    return [entry for entry in catalog.layers() if has_pins(entry.definition)]


def _write(path: Path, lock: LayerLock) -> None:
    from orchestrator.definitions.locks import lock_text
    from orchestrator.host.files import atomic_write_text

    text = lock_text(lock)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, text, overwrite=True)


def _show(console: Console, name: str, changes: Sequence[Change], path: Path) -> None:
    say = console.result
    say(f"{name}: {len(changes)} changed, {path}" if changes else f"{name}: nothing changed")
    for change in changes:
        say(f"  {change.name}: {change.was or 'new'} -> {change.now or 'gone'}")


def _platforms(catalog: Catalog, entry: Entry[Layer]) -> tuple[str, ...]:
    """Those that the lock has, else those of the targets that stand on the layer, else those of every target."""
    lock = catalog.lock(entry.definition.name)
    if lock is not None:
        return tuple(sorted(lock.platforms))
    targets = [entry.definition for entry in catalog.targets()]
    name = entry.definition.name
    using = [on for on in targets if name in {on.base, on.runtime, *on.frameworks.values()}] or targets
    return tuple(sorted({platform for on in using for platform in on.platforms}))
