"""Every definition there is: the built-in recipes with the user's laid over them."""

from __future__ import annotations

from orchestrator.definitions.catalog.check import check
from orchestrator.definitions.catalog.entries import AnyEntry, Catalog, Entry, Template
from orchestrator.definitions.catalog.load import Gathered, gather, index_of, load, load_indexed
from orchestrator.definitions.catalog.roots import Root, builtin_root, data_root, definition_files

__all__ = [
    "AnyEntry",
    "Catalog",
    "Entry",
    "Gathered",
    "Root",
    "Template",
    "builtin_root",
    "check",
    "data_root",
    "definition_files",
    "gather",
    "index_of",
    "load",
    "load_indexed",
]
