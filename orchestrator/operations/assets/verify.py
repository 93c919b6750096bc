"""`assets verify`: hash every byte."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.assets.given import require_given
from orchestrator.assets.use import unused
from orchestrator.definitions.asset_locks import full_name
from orchestrator.operations.assets.facts import AssetFacts, facts_of, named, this_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.operations.context import Context


def verify_assets(context: Context, names: Sequence[str], *, data: Sequence[str] = ()) -> Iterator[AssetFacts]:
    """Hash every file of the named assets (all where none is named); those with a wrong file are moved aside.

    Of ``data`` (``NAME=FOLDER`` of a user who has some) every byte is hashed too, and nothing is moved. What a run
    uses at the moment stays where it is.

    Raises:
        UsageError: `unknown-asset`, `bad-data`, `no-data`. DefinitionError.
        AssetError: a user's folder is not what the recipe says (`data-missing`, `data-wrong`).
    """
    from orchestrator.operations.assets.provider import given_folders

    catalog, store = context.catalog, this_store()
    given = given_folders(context, data)
    for entry in named(catalog, names):
        folder = given.get(full_name(entry.definition))
        if folder is not None:
            stored = require_given(store, catalog, entry, folder, whole=True)
            yield replace(facts_of(entry, stored), wrong=())
            continue
        found, wrong = store.verify(entry, catalog)
        facts = replace(facts_of(entry, found), wrong=tuple(wrong))
        if found is not None and wrong:
            with unused(found.path) as free:
                place = store.set_aside(found.path, wrong) if free else found.folder
            facts = replace(facts, state="wrong", folder=place)
        yield facts
