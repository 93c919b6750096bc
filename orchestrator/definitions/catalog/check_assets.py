"""Cross checks of models and datasets: their sources do not meet, what they are made of exists and forms no circle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.definitions.asset_locks import full_name, kind_of, missing_hashes, recipe_sha256, source_label
from orchestrator.definitions.kinds import assets as a
from orchestrator.definitions.kinds.sources import HttpFile
from orchestrator.definitions.yaml import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.definitions.catalog.entries import AnyEntry, Catalog
    from orchestrator.definitions.kinds.sources import AssetSource
    from orchestrator.errors import Problem


def check_sources(entry: AnyEntry, asset: a.Asset) -> Iterator[Problem]:
    """Whether two sources would lie at one place, or are one."""
    seen: dict[str, int] = {}
    for index, source in enumerate(asset.sources):
        if isinstance(source, HttpFile) and not source.name:
            message = "the first address ends with no file name"
            yield entry.document.fault("source-name", message, ("sources", index), "give the file a name: `file`")
        for place in {source_label(source), _place(source)}:
            if seen.setdefault(place, index) != index:
                message = f"a second source `{place}`"
                hint = "give one of them another name: `file` or `to`"
                yield entry.document.fault("duplicate-source", message, ("sources", index), hint)
                break


def _place(source: AssetSource) -> str:
    """Where a source lies among the others."""
    for name in ("folder", "name", "filename", "path"):
        found = getattr(source, name, "")
        if found:
            return str(found).rpartition("/")[2]
    return source.kind


def check_lock(catalog: Catalog, entry: AnyEntry, asset: a.Asset) -> Iterator[Problem]:
    """Whether the lock of an asset without hashes, if it has one, is for the recipe as it is now."""
    entry = catalog.by_key[kind_of(asset), asset.name]
    written = entry.definition
    if not isinstance(written, a.Asset) or not missing_hashes(written):
        return
    lock = catalog.asset_lock(entry)
    if lock is not None and lock.recipe != recipe_sha256(written):
        message = f"the lock of {full_name(asset)} was made of another recipe, so it does not count"
        yield entry.document.fault("lock-stale", message, ("name",), f"run `mlorch assets lock {full_name(asset)}`")


def check_inputs(catalog: Catalog, entry: AnyEntry, prepare: a.Prepare) -> Iterator[Problem]:
    """Whether what a prepare step is given exists, and does not need the asset itself."""
    for index, name in enumerate(prepare.inputs):
        kind, _, rest = name.partition("/")
        loc = ("prepare", "inputs", index)
        if (kind, rest) in catalog.broken:
            continue
        if (kind, rest) not in catalog.by_key:
            message = f"there is no {kind} `{rest}`"
            yield entry.document.fault(f"unknown-{kind}", message, loc, suggestion(rest, catalog.names(kind)))
            continue
        circle = _circle(catalog, entry, name)
        if circle:
            message = f"it is made of itself: {' of '.join(circle)}"
            yield entry.document.fault("asset-circle", message, loc, "leave one of these `inputs` out")


def _circle(catalog: Catalog, entry: AnyEntry, name: str) -> list[str]:
    """The way from an input back to the asset that has it; empty where there is none."""
    assert isinstance(entry.definition, a.Asset)
    start = full_name(entry.definition)
    waiting, seen = [[start, name]], {name}
    while waiting:
        way = waiting.pop()
        if way[-1] == start:
            return way
        kind, _, rest = way[-1].partition("/")
        found = catalog.by_key.get((kind, rest))
        asset = found.definition if found is not None else None
        prepare = asset.prepare if isinstance(asset, a.Asset) else None
        for following in prepare.inputs if prepare is not None else ():
            if following == start or following not in seen:
                seen.add(following)
                waiting.append([*way, following])
    return []
