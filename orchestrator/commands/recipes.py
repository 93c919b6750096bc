"""`mlorch recipes`: list, show, check and start definitions; their JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options, counted, set_option
from orchestrator.commands.groups import ListGroup
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.context import Context


def _root_of(folder: Path) -> Path:
    """What `--recipes` takes of a folder of recipes."""
    return folder.parent if folder.name == "recipes" else folder


@click.group("recipes", cls=ListGroup)
def command() -> None:
    """List, show, lint and start recipes; print their JSON Schema."""


@command.command("list")
@click.argument("kind", required=False)
@context_options
def list_command(kind: str | None, context: Context, console: Console) -> None:
    """List all recipes, or those of a KIND, and where each comes from."""
    from orchestrator.operations.recipes import list_recipes

    found = list_recipes(context, kind)
    if console.quiet:
        console.document({"recipes": found})
        return
    console.table(("kind", "name", "title", "from", "path"), [tuple(each.values()) for each in found], drop=(4, 3, 2))


@command.command("show")
@click.argument("name")
@set_option
@context_options
def show_command(name: str, changes: tuple[str, ...], context: Context, console: Console) -> None:
    """Show a recipe by NAME, or by KIND/NAME where several kinds have the name.

    One that is like another, or with --set, is shown with all that it comes to say, and each value with what wrote it.
    """
    from orchestrator.operations.recipes import is_written_out, recipe_document, resolved_values, show_recipe

    found = show_recipe(context, name, changes)
    if console.quiet:
        console.document(recipe_document(found))
        return
    if changes or is_written_out(found):
        console.table(("key", "value", "from"), resolved_values(found))
        return
    console.say(f"{found.path} ({found.origin})", style="dim")
    console.result(found.document.text.rstrip())


@command.command("lint")
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--strict", is_flag=True, help="Warnings are faults too.")
@context_options
def lint_command(files: tuple[Path, ...], context: Context, console: Console, *, strict: bool) -> None:
    """Check FILES or folders of recipes and Dockerfiles, or everything that is loaded; exit 3 with all faults.

    Dockerfiles go by their names (Dockerfile, Dockerfile.*, *.Dockerfile, Containerfile); what is
    rendered for every target and benchmark is checked as well. Rules: docs/lint.md.
    """
    from orchestrator.console import problem_documents
    from orchestrator.errors import DefinitionError
    from orchestrator.operations.lint import lint

    found = lint(context, files)
    if found.failed(strict=strict):
        raise DefinitionError(found.problems)
    if console.quiet:
        console.document({"checked": found.checked, "problems": problem_documents(found.problems)})
        return
    for problem in found.problems:
        console.problem(problem)
    faults = counted(len(found.problems), "warning") if found.problems else "no faults"
    console.result(f"{counted(found.checked, 'file')} checked, {faults}")


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
@click.option(
    "--model",
    metavar="PATH|NAME",
    help="Of a benchmark: an ONNX file, or a Hugging Face-style folder, copied beside the recipe; or a model's recipe.",
)
@click.option(
    "--dataset",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Of a benchmark: a folder of photos or arrays, laid beside the recipe.",
)
@click.option(
    "--like",
    help="Of a benchmark: another one, whose data, scenarios and goals it takes  [default: image-fashion].",
)
def new_command(kind: str, name: str, folder: Path, model: str | None, dataset: Path | None, like: str | None) -> None:
    """Start a recipe of a KIND: a commented file to fill in.

    With --model, --dataset or --like a benchmark is started in short, and runs as it is.
    """
    from orchestrator.console import Console
    from orchestrator.operations.recipes import new_benchmark, new_recipe

    console = Console()
    given = [
        option for option, value in (("--model", model), ("--dataset", dataset), ("--like", like)) if value is not None
    ]
    if given:
        if kind != "benchmark":
            message = f"{given[0]} goes with a benchmark, not with a {kind}"
            raise UsageError(message, hint="leave it out", slug="benchmark-only")
        if model is None:
            raise UsageError(
                f"{given[0]} needs --model", hint="name a file, a folder or a recipe", slug="model-missing"
            )
        made = new_benchmark(name, model, dataset, like or "image-fashion", folder)
        console.result(str(made.path))
        beside = f"beside it are {', '.join(str(each) for each in made.beside)}; " if made.beside else ""
        console.say(f"{beside}see what it comes to: mlorch recipes show {name} --recipes {_root_of(folder)}")
        console.say(f"run it: mlorch run {name} --recipes {_root_of(folder)}")
        return
    path = new_recipe(kind, name, folder)
    console.result(str(path))
    console.say(f"fill it in, then: mlorch recipes lint {path}")
