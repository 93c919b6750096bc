"""Models and datasets on this machine: the verbs of `mlorch assets`, as documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.api.calls import context_of, document_of, progress_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.api.calls import Document


def list(**options: Any) -> Document:  # noqa: A001 (the verb's name)
    """Every model and dataset of the recipes, and whether it is here: ``{"assets": [...]}``."""
    from orchestrator.operations.assets import list_assets

    return {"assets": document_of(list_assets(context_of(progress_of(talk=False), options)))}


def get(names: Sequence[str] = (), *, target: str | None = None, talk: bool = False, **options: Any) -> Document:
    """Fetch, check and prepare assets, all where none is named. Raises `UsageError`, `AssetError`, `EngineError`."""
    from orchestrator.operations.assets import get_assets

    progress = progress_of(talk=talk)
    found = get_assets(context_of(progress, options), tuple(names), progress, target=target)
    return {"assets": document_of(tuple(found))}


def verify(names: Sequence[str] = (), **options: Any) -> Document:
    """Hash every file of assets, all where none is named; those with a wrong file are moved aside."""
    from orchestrator.operations.assets import verify_assets

    found = verify_assets(context_of(progress_of(talk=False), options), tuple(names))
    return {"assets": document_of(tuple(found))}
