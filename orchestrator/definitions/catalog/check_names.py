"""Whether the names that definitions use are those of others; for every check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.layers import Layer
from orchestrator.definitions.yaml import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.definitions.catalog.entries import AnyEntry, Catalog
    from orchestrator.errors import Problem

Loc = tuple[str | int, ...]


def exists(catalog: Catalog, entry: AnyEntry, kind: str, name: str, loc: Loc) -> Iterator[Problem]:
    """Whether a definition that is named exists; one that could not be decoded does."""
    if (kind, name) not in catalog.by_key and (kind, name) not in catalog.broken:
        message = f"there is no {kind} `{name}`"
        yield entry.document.fault(f"unknown-{kind}", message, loc, suggestion(name, catalog.names(kind)))


def of_level(catalog: Catalog, entry: AnyEntry, name: str | None, loc: Loc, level: str) -> Iterator[Problem]:
    """Whether a layer that is named exists and is of this level."""
    if name is None:  # the key was left out, and may be
        return
    yield from exists(catalog, entry, "layer", name, loc)
    found = catalog.by_key.get(("layer", name))
    if found is None or not isinstance(found.definition, Layer) or found.definition.level == level:
        return
    message = f"layer `{name}` is of level `{found.definition.level}`; a layer of level `{level}` belongs here"
    fitting = [other.definition.name for other in catalog.layers() if other.definition.level == level]
    yield entry.document.fault("wrong-level", message, loc, suggestion(name, fitting))
