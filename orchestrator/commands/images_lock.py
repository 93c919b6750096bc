"""`mlorch images lock`: pin what images are made of."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.commands.common import json_option, recipes_option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.catalog import Catalog, Entry
    from orchestrator.console import Console
    from orchestrator.model.definitions import Layer
    from orchestrator.model.lock import LayerLock


@click.command("lock")
@click.argument("layers", nargs=-1)
@click.option("--update", "-u", multiple=True, metavar="NAME", help="Move only this package; repeatable.")
@click.option("--platform", "platforms", multiple=True, help="linux/amd64 or linux/arm64 (default: those in use).")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder to write to (default: images/ beside the recipes).",
)
@recipes_option
@json_option
def command(
    layers: tuple[str, ...],
    update: tuple[str, ...],
    platforms: tuple[str, ...],
    output: Path | None,
    recipes: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Pin the packages of LAYERS (default: all) to what the distribution and the index have now.

    Needs apt for Debian packages (their lists are checked against Debian's keys) and pip
    for wheels. A file is written only when a pin changed; everything above a changed
    layer is then built anew.
    """
    from orchestrator.commands.wiring import Workbench
    from orchestrator.console import Console

    catalog, console = Workbench(recipes).catalog, Console(quiet=as_json)
    documents = []
    for entry in _layers(catalog, layers):
        changes, path = _lock_one(catalog, entry, update, platforms or _platforms(catalog, entry), output, console)
        documents.append({"layer": entry.definition.name, "path": str(path), "changes": changes})
        if not as_json:
            _show(console, entry.definition.name, changes, path)
    if as_json:
        console.document({"locks": documents})


def _layers(catalog: Catalog, names: tuple[str, ...]) -> list[Entry]:
    """The named layers, or all that name a package."""
    from orchestrator.lock import wanted_debs

    if names:
        return [catalog.layer(name) for name in names]
    return [entry for entry in catalog.entries("layer") if wanted_debs(_layer(entry)) or _layer(entry).python]


def _lock_one(
    catalog: Catalog,
    entry: Entry,
    update: tuple[str, ...],
    platforms: tuple[str, ...],
    output: Path | None,
    console: Console,
) -> tuple[list[dict[str, str | None]], Path]:
    from orchestrator.assets.locking import make_lock
    from orchestrator.lock import lock_text
    from orchestrator.system.files import atomic_write_text

    layer = _layer(entry)
    old = catalog.lock(layer.name)
    new = make_lock(layer, old, platforms=platforms, update=update, say=console.say)
    folder = output or entry.root / "images"
    path = folder / f"{layer.name}.lock.yaml"
    text = lock_text(new)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, text, overwrite=True)
    return _changes(old, new), path


def _changes(old: LayerLock | None, new: LayerLock) -> list[dict[str, str | None]]:
    was, now = _versions(old), _versions(new)
    return [
        {"platform": platform, "name": name, "was": was.get((platform, name)), "is": now.get((platform, name))}
        for platform, name in sorted(was.keys() | now.keys())
        if was.get((platform, name)) != now.get((platform, name))
    ]


def _versions(lock: LayerLock | None) -> dict[tuple[str, str], str]:
    if lock is None:
        return {}
    found: dict[tuple[str, str], str] = {}
    for platform, pins in lock.platforms.items():
        found |= {(platform, deb.name): deb.version for deb in pins.debs}
        found |= {(platform, wheel.name): wheel.version for wheel in pins.wheels}
    return found


def _show(console: Console, name: str, changes: list[dict[str, str | None]], path: Path) -> None:
    say = console.result
    say(f"{name}: {len(changes)} changed, {path}" if changes else f"{name}: nothing changed")
    for change in changes:
        say(f"  {change['name']}: {change['was'] or 'new'} -> {change['is'] or 'gone'}")


def _platforms(catalog: Catalog, entry: Entry) -> tuple[str, ...]:
    """Those that the lock has, else those of every target."""
    from orchestrator.model.definitions import Target

    lock = catalog.lock(entry.definition.name)
    if lock is not None:
        return tuple(sorted(lock.platforms))
    found = {p for e in catalog.entries("target") if isinstance(e.definition, Target) for p in e.definition.platforms}
    return tuple(sorted(found))


def _layer(entry: Entry) -> Layer:
    from orchestrator.model.definitions import Layer

    assert isinstance(entry.definition, Layer)
    return entry.definition
