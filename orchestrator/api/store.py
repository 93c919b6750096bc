"""The store of results: published tables and runs of ours, as `mlorch results import|query|top` have them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.api.calls import document_of, only_context, request_of, words

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from orchestrator.api.calls import Document


def import_results(
    sources: Sequence[str | os.PathLike[str]], *, store: str | os.PathLike[str] | None = None, **options: Any
) -> Document:
    """Bring files, addresses, trees and folders into the store, all or none, as ``mlorch results import --json``.

    ``options`` are those of the command: ``round``, ``label``, ``skip``.

    Raises:
        UsageError: a source that is none, a tree without its round.
        StepFailed: a table that is wrong, with its row; a store of a newer mlorch; DuckDB is not installed.
    """
    from orchestrator.operations.results_import import ImportRequest
    from orchestrator.operations.results_import import import_results as work

    request = request_of(ImportRequest, options, sources=words("sources", sources), store=_folder(store))
    return document_of(work(only_context({}), request))


def query(sql: str, *, store: str | os.PathLike[str] | None = None, **options: Any) -> Document:
    """``{"columns", "rows", "more"}`` of one SELECT, as ``mlorch results query --json``.

    ``options`` are ``limit`` (rows) and ``timeout_s``.

    Raises:
        UsageError: what is no query, or does more than to read.
        StepFailed: it took too long.
    """
    from orchestrator.operations.results_store import query_store

    return document_of(query_store(sql, _folder(store), **options))


def top(benchmark: str, *, store: str | os.PathLike[str] | None = None, **options: Any) -> Document:
    """The best results of a benchmark, as ``mlorch results top --json``.

    ``options`` are those of the command: ``scenario``, ``per``, ``round``, ``division``, ``category``, ``number``.

    Raises:
        UsageError: a benchmark or round that the store has not.
        NothingSelectedError: nothing fits.
    """
    from orchestrator.operations.results_store import top_results
    from orchestrator.results.tables.ranking import Ranking

    return document_of(top_results(request_of(Ranking, options, benchmark=benchmark), _folder(store)))


def compare(was: str, now: str, *, store: str | os.PathLike[str] | None = None, tolerance: float = 0.05) -> Document:
    """Two systems or results of the store, as ``mlorch results compare store:WAS store:NOW --json``."""
    from orchestrator.operations.results_store import compare_store

    return document_of(compare_store(was, now, _folder(store), tolerance=tolerance))


def _folder(given: str | os.PathLike[str] | None) -> Path | None:
    return None if given is None else Path(given)
