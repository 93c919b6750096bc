"""`mlorch benchmarks`: what can be measured and on what, and what MLPerf's rounds ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_for, json_option, recipes_option
from orchestrator.commands.groups import ListGroup

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])


def round_option(function: F) -> F:
    """`--round`: whose models and rules are shown."""
    return click.option(
        "--round", "round_name", default="", metavar="NAME", help="A round of MLPerf Inference, such as v6.0."
    )(function)


@click.group("benchmarks", cls=ListGroup)
def command() -> None:
    """List and show benchmarks, and the models and rules of MLPerf's rounds."""


@command.command("list")
@round_option
@recipes_option
@json_option
def list_command(round_name: str, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """List the benchmarks that mlorch runs, and the models of MLPerf's newest round.

    With --round, the models of that round only. `*` marks what a bare `run` measures. A target in brackets takes a
    choice of the recipe, which `show` names; a scenario in brackets is optional.
    """
    from orchestrator.commands.benchmarks_view import print_benchmarks, print_models
    from orchestrator.console import Console
    from orchestrator.operations.benchmark_lists import list_benchmarks, list_models

    console = Console(quiet=as_json)
    context = context_for(console, recipes)
    if round_name:
        models = list_models(context, round_name)
        if as_json:
            console.document(models)
        else:
            print_models(console, models["benchmarks"], models, models)
        return
    found = list_benchmarks(context)
    if as_json:
        console.document(found)
        return
    print_benchmarks(console, found["benchmarks"])
    if found["round_rules"] is not None:
        print_models(console, found["models"], found["round_rules"], found)


@command.command("show")
@click.argument("name")
@round_option
@recipes_option
@json_option
def show_command(name: str, round_name: str, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Show a benchmark: what it is made of and what it must reach; or a model of an MLPerf round and its rules.

    A model goes by the name that MLPerf's checker gives it; without --round, the newest round's rules are shown.
    """
    from orchestrator.commands.benchmarks_view import print_benchmark, print_model
    from orchestrator.console import Console
    from orchestrator.operations.benchmarks import ModelFacts, show_benchmark

    console = Console(quiet=as_json)
    found = show_benchmark(context_for(console, recipes), name, round_name)
    if as_json:
        console.document(found.whole_document())
    elif isinstance(found, ModelFacts):
        print_model(console, found)
    else:
        print_benchmark(console, found)
