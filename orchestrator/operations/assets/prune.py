"""`assets prune`: remove what no recipe names any more, and what else is not wanted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.assets.pruning import Leftover, leftovers, remove
from orchestrator.assets.store import key_of, kind_of
from orchestrator.errors import DefinitionError
from orchestrator.operations.assets.facts import this_store

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.operations.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRequest:
    """What goes: what no recipe of these names, or ``all`` of it; only what was last used ``older_than_s`` ago."""

    all: bool = False
    older_than_s: float | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedAsset:
    """Something in the store that goes: an element of `removed` in the JSON of `assets prune`."""

    what: str
    """a model or dataset with its key, an unfinished download, files that were moved aside"""
    folder: Path
    bytes: int
    why: str
    state: str
    """unneeded (with --dry-run), removed, or kept (in use, or it cannot be removed)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneResult:
    """The JSON of `assets prune`; ``bytes`` are those that go."""

    removed: tuple[PrunedAsset, ...]
    bytes: int
    dry_run: bool


def prune(context: Context, request: PruneRequest) -> PruneResult:
    """Remove models, datasets, their downloads and what was left unfinished; never what a run uses now.

    Raises:
        DefinitionError: recipes that cannot be read, so that it cannot be said what they name.
    """
    catalog = context.catalog
    needed: dict[str, str] = {}
    if not request.all:
        for entry in catalog.assets():
            try:
                needed[f"{kind_of(entry.definition)}/{entry.definition.name}/{key_of(entry, catalog)}"] = ""
            except OSError as error:
                message = f"a file of {entry.path} cannot be read: {error.strerror}"
                raise DefinitionError.fault("unreadable", message) from error
    before = None if request.older_than_s is None else time.time() - request.older_than_s
    found = leftovers(this_store().root, frozenset(needed), everything=request.all, before=before)
    rows = tuple(_pruned(one, dry_run=request.dry_run) for one in found)
    return PruneResult(
        removed=rows, bytes=sum(one.bytes for one in rows if one.state != "kept"), dry_run=request.dry_run
    )


def _pruned(one: Leftover, *, dry_run: bool) -> PrunedAsset:
    why = remove(one, dry_run=dry_run)
    state = "unneeded" if dry_run else "removed"
    if why:
        state = "kept"
    return PrunedAsset(what=one.what, folder=one.path, bytes=one.bytes, why=why or one.why, state=state)
