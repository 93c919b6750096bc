"""Recipes: the verbs of `mlorch recipes`, as documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.api.calls import document_of, only_context, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.api.calls import Document


def list(kind: str | None = None, **options: Any) -> Document:  # noqa: A001 (the verb's name)
    """Every recipe, or those of a kind: ``{"recipes": [...]}``."""
    from orchestrator.operations.recipes import list_recipes

    return {"recipes": document_of(list_recipes(only_context(options), kind))}


def show(name: str, *, changes: Sequence[str] = (), **options: Any) -> Document:
    """One recipe, as ``mlorch recipes show --json``; ``changes`` are ``KEY=VALUE``, as of ``--set``.

    Raises `UsageError` for an unknown name, key or choice.
    """
    from orchestrator.operations.recipes import recipe_document, show_recipe

    return document_of(recipe_document(show_recipe(only_context(options), name, words("changes", changes))))


def lint(paths: Sequence[str | Path] = (), **options: Any) -> Document:
    """Every fault of recipes and Dockerfiles (of all recipes where no path is named): ``{"checked", "problems"}``."""
    from orchestrator.console import problem_documents
    from orchestrator.operations.lint import lint as examine

    found = examine(only_context(options), tuple(map(Path, words("paths", paths))))
    return {"checked": found.checked, "problems": problem_documents(found.problems)}


def new(kind: str, name: str, folder: str | Path = ".") -> Path:
    """Write a recipe to start from; gives its path."""
    from orchestrator.operations.recipes import new_recipe

    return new_recipe(kind, name, Path(folder))
