"""`mlorch recipes`: list, show, check and start definitions; their JSON Schema."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.commands.common import context_for, json_option, recipes_option
from orchestrator.commands.groups import ListGroup


@click.group("recipes", cls=ListGroup)
def command() -> None:
    """List, show, lint and start recipes; print their JSON Schema."""


@command.command("list")
@click.argument("kind", required=False)
@recipes_option
@json_option
def list_command(kind: str | None, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """List all recipes, or those of a KIND, and where each comes from."""
    from orchestrator.console import Console
    from orchestrator.operations.recipes import list_recipes

    console = Console(quiet=as_json)
    found = list_recipes(context_for(console, recipes), kind)
    if as_json:
        console.document({"recipes": found})
        return
    rows = [(each.kind, each.name, each.title, each.origin, str(each.path)) for each in found]
    console.table(("kind", "name", "title", "from", "path"), rows)


@command.command("show")
@click.argument("name")
@recipes_option
@json_option
def show_command(name: str, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Show a recipe by NAME, or by KIND/NAME where several kinds have the name."""
    from orchestrator.console import Console
    from orchestrator.operations.recipes import show_recipe

    console = Console(quiet=as_json)
    found = show_recipe(context_for(console, recipes), name)
    if as_json:
        console.document(found.document())
        return
    console.say(f"{found.facts.path} ({found.facts.origin})", style="dim")
    console.result(found.text.rstrip())


@command.command("lint")
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--strict", is_flag=True, help="Warnings are faults too.")
@recipes_option
@json_option
def lint_command(files: tuple[Path, ...], recipes: tuple[str, ...], *, strict: bool, as_json: bool) -> None:
    """Check FILES or folders of recipes and Dockerfiles, or everything that is loaded; exit 3 with all faults.

    Dockerfiles go by their names (Dockerfile, Dockerfile.*, *.Dockerfile, Containerfile); what is
    rendered for every target and benchmark is checked as well. Rules: docs/lint.md.
    """
    from orchestrator.console import Console, problem_documents
    from orchestrator.errors import DefinitionError
    from orchestrator.operations.lint import lint

    console = Console(quiet=as_json)
    found = lint(context_for(console, recipes), files)
    if found.failed(strict=strict):
        raise DefinitionError(found.problems)
    if as_json:
        console.document({"checked": found.checked, "problems": problem_documents(found.problems)})
        return
    for problem in found.problems:
        console.problem(problem)
    faults = _count(len(found.problems), "warning") if found.problems else "no faults"
    console.result(f"{_count(found.checked, 'file')} checked, {faults}")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


@command.command("schema")
@click.argument("kind", required=False)
def schema_command(kind: str | None) -> None:
    """Print the JSON Schema of a KIND, of `settings` or `lock`, or of any recipe."""
    from orchestrator.console import Console
    from orchestrator.definitions.catalog.schema import schema

    Console().document(schema(kind))


@command.command("new")
@click.argument("kind")
@click.argument("name")
@click.option(
    "-o",
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("recipes"),
    help="Folder of recipes (default: ./recipes).",
)
def new_command(kind: str, name: str, folder: Path) -> None:
    """Start a recipe of a KIND: a commented file to fill in."""
    from orchestrator.console import Console
    from orchestrator.operations.recipes import new_recipe

    console = Console()
    path = new_recipe(kind, name, folder)
    console.result(str(path))
    console.say(f"fill it in, then: mlorch recipes lint {path}")
