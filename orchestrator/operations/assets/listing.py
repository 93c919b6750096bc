"""`assets list`: every model and dataset of the recipes, and whether it is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.operations.assets.facts import AssetFacts, facts_of, this_store

if TYPE_CHECKING:
    from orchestrator.operations.context import Context


def list_assets(context: Context) -> tuple[AssetFacts, ...]:
    """Every model and dataset of the recipes: whether it is here, its bytes, its terms. Changes nothing.

    Raises:
        DefinitionError: invalid recipes.
    """
    catalog, store = context.catalog, this_store()
    return tuple(facts_of(entry, store.find(entry, catalog)) for entry in catalog.assets())
