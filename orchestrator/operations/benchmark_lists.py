"""`benchmarks list`, kept between commands: what lists reads every recipe, and they rarely change. Light to import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.operations.context import Context


def list_benchmarks(context: Context) -> dict[str, Any]:
    """Every benchmark of the recipes, and the models of the newest round: the JSON of `benchmarks list`.

    Raises `DefinitionError` for invalid recipes.
    """

    def make() -> dict[str, Any]:
        from orchestrator.operations.benchmarks import all_benchmarks

        return all_benchmarks(context.catalog).document()

    return context.kept_document("benchmarks by choice", make)


def list_models(context: Context, round_name: str) -> dict[str, Any]:
    """The models of a round: the JSON of `benchmarks list --round`. Raises `UsageError` (`unknown-round`)."""

    def make() -> dict[str, Any]:
        from orchestrator.operations.benchmarks import models_of

        return models_of(context.catalog, round_name).document()

    return context.kept_document(f"models {round_name}", make)
