"""`assets prune`: remove what no recipe names any more, and what else is not wanted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.assets.pruning import Leftover, Needed, leftovers, remove
from orchestrator.assets.store import key_of, recipes_label
from orchestrator.definitions.asset_locks import full_name
from orchestrator.errors import DefinitionError
from orchestrator.operations.assets.facts import this_store

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.definitions.catalog import Catalog
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

    Without ``all`` what was made of other recipes than those of this context stays, as they may name it still.

    Raises:
        DefinitionError: recipes that cannot be read, so that it cannot be said what they name.
    """
    before = None if request.older_than_s is None else time.time() - request.older_than_s
    found = leftovers(this_store().root, None if request.all else _needed(context.catalog), before=before)
    rows = tuple(_pruned(one, dry_run=request.dry_run) for one in found)
    return PruneResult(
        removed=rows, bytes=sum(one.bytes for one in rows if one.state != "kept"), dry_run=request.dry_run
    )


def _needed(catalog: Catalog) -> Needed:
    trees = set()
    for entry in catalog.assets():
        try:
            trees.add(f"{full_name(entry.definition)}/{key_of(entry, catalog)}")
        except OSError as error:
            message = f"a file of {entry.path} cannot be read: {error.strerror}"
            raise DefinitionError.fault("unreadable", message) from error
    recipes = frozenset(recipes_label(root.origin, root.path) for root in catalog.roots)
    return Needed(trees=frozenset(trees), recipes=recipes)


def _pruned(one: Leftover, *, dry_run: bool) -> PrunedAsset:
    why = remove(one, dry_run=dry_run)
    state = "unneeded" if dry_run else "removed"
    if why:
        state = "kept"
    return PrunedAsset(what=one.what, folder=one.path, bytes=one.bytes, why=why or one.why, state=state)
