"""`mlorch benchmarks`: what can be measured, and on what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_for, json_option, recipes_option
from orchestrator.commands.groups import ListGroup

if TYPE_CHECKING:
    from orchestrator.definitions.kinds.recipes import AccuracyGoal, Benchmark
    from orchestrator.operations.benchmarks import BenchmarkFacts


@click.group("benchmarks", cls=ListGroup)
def command() -> None:
    """List and show benchmarks."""


@command.command("list")
@recipes_option
@json_option
def list_command(recipes: tuple[str, ...], *, as_json: bool) -> None:
    """List the benchmarks: model, data, scenarios and targets; * marks what a bare `run` measures."""
    from orchestrator.console import Console
    from orchestrator.operations.benchmarks import list_benchmarks

    console = Console(quiet=as_json)
    found = list_benchmarks(context_for(console, recipes))
    if as_json:
        console.document(found.document())
        return
    rows = [_row(each) for each in found.benchmarks]
    console.table(("benchmark", "model", "dataset", "scenarios", "targets", "MLPerf"), rows)


def _row(each: BenchmarkFacts) -> tuple[str, ...]:
    what = each.definition
    return (
        f"{what.name} *" if what.default else what.name,
        what.model,
        what.dataset,
        " ".join(what.scenarios),
        " ".join(each.targets),
        what.stands_for if what.official else f"no (reference workload{_stands_for(what)})",
    )


@command.command("show")
@click.argument("name")
@recipes_option
@json_option
def show_command(name: str, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Show a benchmark: what it is made of and what it must reach."""
    from orchestrator.console import Console
    from orchestrator.operations.benchmarks import show_benchmark

    console = Console(quiet=as_json)
    found = show_benchmark(context_for(console, recipes), name)
    if as_json:
        console.document(found.whole_document())
        return
    what = found.definition
    console.result(f"{what.name}: {what.title}")
    if what.description:
        console.result(what.description.strip())
    lines = [
        ("MLPerf", what.stands_for if what.official else f"{what.note}{_stands_for(what)}"),
        ("model", f"{what.model}: {found.model_title}"),
        ("dataset", f"{what.dataset}: {found.dataset_title}"),
        ("harness", f"{what.harness} with {' or '.join(what.frameworks)}"),
    ]
    lines += [("accuracy", _goal(goal)) for goal in what.accuracy.goals]
    for scenario, settings in what.scenarios.items():
        given = settings.model_dump(exclude_none=True)
        words = ", ".join(f"{key} {value}" for key, value in given.items())
        lines.append((f"scenario {scenario}", words or "LoadGen's own settings"))
    lines += [
        ("targets", ", ".join(found.targets)),
        ("recipe", f"{found.entry.path} ({found.entry.origin})"),
    ]
    console.facts(lines)


def _goal(goal: AccuracyGoal) -> str:
    """What must be reached: ``top1 of at least 90.62 %``."""
    most = "" if goal.maximum is None else f" and at most {goal.maximum:.4g}"
    return f"{goal.metric} of at least {goal.minimum:.4g}{most} {goal.unit}".rstrip()


def _stands_for(what: Benchmark) -> str:
    return f", stands for {what.stands_for}" if what.stands_for else ""
