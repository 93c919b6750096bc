"""Models and datasets on this machine: the verbs of `mlorch assets`, as documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.api.calls import document_of, only_context, progress_of, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.api.calls import Document


def list(**options: Any) -> Document:  # noqa: A001 (the verb's name)
    """Every model and dataset of the recipes, and whether it is here: ``{"assets": [...]}``."""
    from orchestrator.operations.assets.listing import list_assets

    return {"assets": document_of(list_assets(only_context(options)))}


def get(
    names: Sequence[str] = (),
    *,
    target: str | None = None,
    data: Sequence[str] = (),
    talk: bool = False,
    **options: Any,
) -> Document:
    """Fetch, check and prepare assets, those of the default benchmarks where none is named.

    ``data`` are ``NAME=FOLDER`` of a user who has some. Raises `UsageError`, `AssetError`, `EngineError`.
    """
    from orchestrator.operations.assets.get import get_assets

    progress = progress_of(talk=talk)
    found = get_assets(
        only_context(options, progress), words("names", names), progress, target=target, data=words("data", data)
    )
    return {"assets": document_of(tuple(found))}


def verify(names: Sequence[str] = (), *, data: Sequence[str] = (), **options: Any) -> Document:
    """Hash every file of assets, all where none is named; those with a wrong file are moved aside."""
    from orchestrator.operations.assets.verify import verify_assets

    found = verify_assets(only_context(options), words("names", names), data=words("data", data))
    return {"assets": document_of(tuple(found))}


def why(name: str, *, data: Sequence[str] = (), **options: Any) -> Document:
    """Why an asset is taken as it is here, or would be made, and which input changed. Asks nobody."""
    from orchestrator.operations.assets.why import why as explain

    document: Document = document_of(explain(only_context(options), name, data=words("data", data)))
    return document


def prune(
    *,
    all: bool = False,  # noqa: A002 (the option's name)
    older_than_s: float | None = None,
    dry_run: bool = False,
    **options: Any,
) -> Document:
    """Remove what no recipe names any more, or all; never what is in use. ``older_than_s`` in seconds."""
    from orchestrator.operations.assets.prune import PruneRequest
    from orchestrator.operations.assets.prune import prune as remove

    request = PruneRequest(all=all, older_than_s=older_than_s, dry_run=dry_run)
    document: Document = document_of(remove(only_context(options), request))
    return document


def export(name: str, folder: str | Path, *, copy: bool = False, **options: Any) -> Document:
    """Lay the files of an asset into an empty folder, with a manifest that ``sha256sum -c`` reads.

    Raises `UsageError`, `AssetError`.
    """
    from orchestrator.operations.assets.export import export_asset

    document: Document = document_of(export_asset(only_context(options), name, Path(folder), copy=copy))
    return document


def lock(
    name: str,
    *,
    output: str | Path | None = None,
    target: str | None = None,
    data: Sequence[str] = (),
    talk: bool = False,
    **options: Any,
) -> Document:
    """Fetch an asset without hashes once, trust what comes, and write its hashes into a lock. Raises as `get`."""
    from orchestrator.operations.assets.lock import AssetLockRequest, lock_asset

    progress = progress_of(talk=talk)
    folder = Path(output) if output is not None else None
    request = AssetLockRequest(name=name, target=target, data=words("data", data), output=folder)
    document: Document = document_of(lock_asset(only_context(options, progress), request, progress))
    return document
