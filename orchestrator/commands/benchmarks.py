"""`mlorch benchmarks`: what can be measured, and on what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, recipes_option
from orchestrator.commands.groups import ListGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.catalog import Catalog
    from orchestrator.definitions.kinds.recipes import Benchmark


@click.group("benchmarks", cls=ListGroup)
def command() -> None:
    """List and show benchmarks."""


@command.command("list")
@recipes_option
@json_option
def list_command(recipes: tuple[str, ...], *, as_json: bool) -> None:
    """List the benchmarks: model, data, scenarios and targets; * marks what a bare `run` measures."""
    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.plan.build.resolve import targets_of

    catalog = Context(recipes).catalog
    found = [entry.definition for entry in catalog.benchmarks()]
    console = Console(quiet=as_json)
    if as_json:
        console.document(listing(catalog))
        return
    rows = [
        (
            f"{each.name}{' *' if each.default else ''}",
            each.model,
            each.dataset,
            " ".join(each.scenarios),
            " ".join(targets_of(catalog, each)),
            each.stands_for if each.official else f"no (reference workload{_stands(each)})",
        )
        for each in found
    ]
    console.table(("benchmark", "model", "dataset", "scenarios", "targets", "MLPerf"), rows)


@command.command("show")
@click.argument("name")
@recipes_option
@json_option
def show_command(name: str, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Show a benchmark: what it is made of and what it must reach."""
    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.plan.build.resolve import targets_of

    catalog = Context(recipes).catalog
    entry = catalog.benchmark(name)
    what = entry.definition
    targets = targets_of(catalog, what)
    console = Console(quiet=as_json)
    if as_json:
        definition = what.model_dump(mode="json", by_alias=True, exclude_none=True)
        document = {**facts(what, targets), "path": str(entry.path), "origin": entry.origin, "definition": definition}
        console.document(document)
        return
    console.result(f"{what.name}: {what.title}")
    if what.description:
        console.result(what.description.strip())
    least = what.accuracy.reference * what.accuracy.factor
    lines = [
        ("MLPerf", what.stands_for if what.official else f"{what.note}{_stands(what)}"),
        ("model", f"{what.model}: {catalog.model(what.model).definition.title}"),
        ("dataset", f"{what.dataset}: {catalog.dataset(what.dataset).definition.title}"),
        ("harness", f"{what.harness} with {' or '.join(what.frameworks)}"),
        ("accuracy", f"{what.accuracy.metric} of at least {least:.4g} {what.accuracy.unit}"),
        *((f"scenario {scenario}", _settings(what, scenario)) for scenario in what.scenarios),
        ("targets", ", ".join(targets)),
        ("recipe", f"{entry.path} ({entry.origin})"),
    ]
    width = max(len(label) for label, _ in lines)
    for label, value in lines:
        console.result(f"  {label:{width}}  {value}")


def listing(catalog: Catalog) -> dict[str, object]:
    """The document of `benchmarks list --json` (design.md, JSON contract)."""
    from orchestrator.plan.build.resolve import targets_of

    found = [entry.definition for entry in catalog.benchmarks()]
    rounds = sorted({each.round for each in found})
    benchmarks = [facts(each, targets_of(catalog, each)) for each in found]
    return {"round": rounds[-1] if rounds else None, "benchmarks": benchmarks}


def facts(what: Benchmark, targets: Sequence[str]) -> dict[str, object]:
    """One benchmark of the listing; ``targets`` are those that can run it.

    A workload that is not official is in no category of a submission: the
    scenarios it can run are all optional ones of none, and stand in ``runs``.
    """
    accuracy = what.accuracy
    nothing: dict[str, list[str]] = {"required": [], "optional": []}
    return {
        "name": what.name,
        "title": what.title,
        "official": what.official,
        "default": what.default,
        "round": what.round,
        "loadgen_name": what.stands_for if what.official else None,
        "checker_name": what.stands_for if what.official else None,
        "stands_for": what.stands_for or None,
        "categories": [],
        "scenarios": {"datacenter": dict(nothing), "edge": dict(nothing)},
        "runs": list(what.scenarios),
        "accuracy": {
            "name": accuracy.metric,
            "unit": accuracy.unit,
            "reference": accuracy.reference,
            "factor": accuracy.factor,
            "required": accuracy.reference * accuracy.factor,
        },
        "compliance": [],
        "targets": list(targets),
        "model": what.model,
        "dataset": what.dataset,
        "harness": what.harness,
        "framework": what.frameworks[0],
        "frameworks": list(what.frameworks),
    }


def _stands(what: Benchmark) -> str:
    return f", stands for {what.stands_for}" if what.stands_for else ""


def _settings(what: Benchmark, scenario: str) -> str:
    for name, settings in what.scenarios.items():
        if name == scenario:
            given = settings.model_dump(exclude_none=True)
            return ", ".join(f"{key} {value}" for key, value in given.items()) or "LoadGen's own settings"
    return ""
