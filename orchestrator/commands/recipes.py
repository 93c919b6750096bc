"""`mlorch recipes`: list, show, check and start definitions; their JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, recipes_option
from orchestrator.commands.groups import ListGroup
from orchestrator.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.catalog import AnyEntry, Catalog, Root
    from orchestrator.errors import Problem

_FOLDERS = {"harness": "harnesses"}


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
    from orchestrator.operations.context import Context

    if kind is not None:
        _known_kind(kind)
    found = Context(recipes).catalog.entries(kind)
    console = Console(quiet=as_json)
    if as_json:
        console.document({"recipes": [_facts(entry) for entry in found]})
        return
    rows = [(_kind(e), e.definition.name, e.definition.title, e.origin, str(e.path)) for e in found]
    console.table(("kind", "name", "title", "from", "path"), rows)


@command.command("show")
@click.argument("name")
@recipes_option
@json_option
def show_command(name: str, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Show a recipe by NAME, or by KIND/NAME where several kinds have the name."""
    from orchestrator.console import Console
    from orchestrator.operations.context import Context

    entry = _find(Context(recipes).catalog, name)
    console = Console(quiet=as_json)
    if as_json:
        definition = entry.definition.model_dump(mode="json", by_alias=True, exclude_none=True)
        console.document({**_facts(entry), "sha256": entry.sha256, "definition": definition})
        return
    console.say(f"{entry.path} ({entry.origin})", style="dim")
    console.result(entry.document.text.rstrip())


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
    from orchestrator.operations.context import Context

    checked, problems = lint(Context(recipes).roots(), files)
    if any(strict or problem.level == "error" for problem in problems):
        raise DefinitionError(problems)
    console = Console(quiet=as_json)
    if as_json:
        console.document({"checked": checked, "problems": problem_documents(problems)})
        return
    for problem in problems:
        console.problem(problem)
    faults = f"{len(problems)} warning{'' if len(problems) == 1 else 's'}" if problems else "no faults"
    console.result(f"{checked} file{'' if checked == 1 else 's'} checked, {faults}")


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
    from orchestrator.host.files import atomic_write_text

    text = skeleton(kind, name)
    place = folder / _FOLDERS.get(kind, f"{kind}s") / f"{name}.yaml"
    place.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(place, text)
    console = Console()
    console.result(str(place))
    console.say(f"fill it in, then: mlorch recipes lint {place}")


def skeleton(kind: str, name: str) -> str:
    """The text of a new recipe; `UsageError` for an unknown kind or a name that cannot be one."""
    from orchestrator.definitions.catalog.roots import package_folder
    from orchestrator.definitions.kinds.base import is_name

    _known_kind(kind)
    if not is_name(name):
        hint = "lower-case letters and digits, joined by `-`, `_` or `.`"
        raise UsageError(f"`{name[:80]}` cannot be a name", hint=hint, slug="bad-name")
    text = (package_folder() / "skeletons" / f"{kind}.yaml").read_text(encoding="utf-8")
    return text.replace("@NAME@", name)


def lint(roots: Sequence[Root], paths: Sequence[Path]) -> tuple[int, tuple[Problem, ...]]:
    """How many files were checked and what is wrong in them: those of `paths`, or of all roots."""
    from orchestrator.commands.lint_dockerfiles import dockerfiles_of, lint_dockerfiles
    from orchestrator.definitions.catalog import Root, check, definition_files, gather

    dockerfiles = dockerfiles_of(paths)
    files = [path for path in paths if path.is_file() and path not in dockerfiles]
    others = [path for path in files if _other(path) is not None]
    files = [path for path in files if path not in others]
    folders = [Root(path=path, origin=f"path:{path}") for path in paths if path.is_dir()]
    gathered = gather((*roots, *folders), files)
    problems = [*gathered.problems, *check(gathered.catalog)]
    problems = problems or list(_rendering(gathered.catalog))
    if not paths:
        return sum(1 for root in roots for _ in definition_files(root)), tuple(problems)
    wanted = {str(path) for path in files} | {str(path) for root in folders for path in definition_files(root)}
    problems = [problem for problem in problems if _about(problem, wanted, folders)]
    for path in others:
        problems += _lint_other(path)
    problems += lint_dockerfiles(dockerfiles)
    return len(wanted) + len(others) + len(dockerfiles), tuple(problems)


def _rendering(catalog: Catalog) -> tuple[Problem, ...]:
    """The faults of templates and of what they give, for every layer of every benchmark on every target."""
    from orchestrator.commands.lint_dockerfiles import lint_rendered
    from orchestrator.plan.build.planner import build_plans
    from orchestrator.plan.build.resolve import benchmarks_of

    problems: dict[Problem, None] = {}
    for target in catalog.names("target"):
        for benchmark in benchmarks_of(catalog, target):
            try:
                plans = build_plans(catalog, target=target, benchmarks=(benchmark,))
            except DefinitionError as error:
                problems |= dict.fromkeys(error.problems())
            except UsageError:
                pass  # e.g. no base source with a digest: a matter of the build, not of the recipe
            else:
                problems |= dict.fromkeys(lint_rendered(plans))
    return tuple(problems)


def _about(problem: Problem, wanted: set[str], folders: Sequence[Root]) -> bool:
    if problem.span is None:
        return True
    path = problem.span.path
    return path in wanted or any(Path(path).is_relative_to(root.path) for root in folders)


def _other(path: Path) -> str | None:
    """Which schema a file has that is no recipe: settings and locks go by their names."""
    if path.name == "mlorch.yaml":
        return "settings"
    return "lock" if path.name.endswith(".lock.yaml") else None


def _lint_other(path: Path) -> tuple[Problem, ...]:
    from orchestrator.definitions.kinds.lock import LayerLock
    from orchestrator.definitions.kinds.settings import SettingsFile
    from orchestrator.definitions.yaml import decode, read_document

    try:
        document = read_document(path)
        if _other(path) == "settings":
            decode(document, SettingsFile)
        else:
            decode(document, LayerLock)
    except DefinitionError as error:
        return error.problems()
    return ()


def _find(catalog: Catalog, name: str) -> AnyEntry:
    from orchestrator.definitions.kinds.recipes import KINDS
    from orchestrator.definitions.yaml import nearest

    kind, slash, rest = name.partition("/")
    if slash:
        _known_kind(kind)
        return catalog.get(kind, rest)
    found = [catalog.by_key[kind, name] for kind in KINDS if (kind, name) in catalog.by_key]
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(f"`{_kind(entry)}/{name}`" for entry in found)
        raise UsageError(f"several recipes are named `{name}`", hint=f"say {names}", slug="ambiguous-recipe")
    near = nearest(name, [known for _, known in catalog.by_key], limit=3)
    hint = f"did you mean {' or '.join(f'`{n}`' for n in near)}?" if near else "see `mlorch recipes list`"
    raise UsageError(f"there is no recipe `{name}`", hint=hint, slug="unknown-recipe")


def _known_kind(kind: str) -> None:
    from orchestrator.definitions.kinds.recipes import KINDS
    from orchestrator.definitions.yaml import nearest

    if kind not in KINDS:
        near = nearest(kind, KINDS)
        hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(KINDS)}"
        raise UsageError(f"there is no kind `{kind}`", hint=hint, slug="unknown-kind")


def _kind(entry: AnyEntry) -> str:
    from orchestrator.definitions.catalog.load import kind_of

    return kind_of(entry)


def _facts(entry: AnyEntry) -> dict[str, object]:
    return {
        "kind": _kind(entry),
        "name": entry.definition.name,
        "title": entry.definition.title,
        "origin": entry.origin,
        "path": str(entry.path),
    }
