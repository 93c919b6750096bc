"""`recipes lint`: what is wrong in recipes, settings, locks and Dockerfiles, and in what is rendered from recipes."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.catalog import Root, check, definition_files, gather
from orchestrator.definitions.catalog.roots import SETTINGS_NAME
from orchestrator.definitions.kinds.lock import AssetLock, LayerLock
from orchestrator.definitions.kinds.settings import SettingsFile
from orchestrator.definitions.yaml import decode, read_document
from orchestrator.errors import DefinitionError, NothingSelectedError, Problem, Span, UsageError
from orchestrator.host import recipe_files
from orchestrator.lint.check import lint as lint_text
from orchestrator.plan.build.frameworks import benchmarks_of
from orchestrator.plan.build.layers import merge_layers
from orchestrator.plan.build.planner import build_plans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.catalog import Catalog
    from orchestrator.facts.build import BuildPlan
    from orchestrator.operations.context import Context

_DOCKERFILES = ("dockerfile", "dockerfile.*", "*.dockerfile", "containerfile", "containerfile.*", "*.containerfile")
_NOT = ("*.j2", "*.dockerignore", "*.md")
_LARGEST = 1 << 20
"""Bytes; what is larger was not written by a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LintResult:
    """How many files were checked, and every fault and warning."""

    checked: int
    problems: tuple[Problem, ...]

    def failed(self, *, strict: bool) -> bool:
        """Whether there is a fault; with ``strict`` warnings are faults too."""
        return any(strict or problem.level == "error" for problem in self.problems)


def lint(context: Context, paths: Sequence[Path] = ()) -> LintResult:
    """Check files and folders of recipes and Dockerfiles, or all recipes of the context where none is given.

    Nothing is raised for what is wrong in them: each fault is a `Problem` at its place.

    Raises:
        UsageError: `no-recipes`, a folder of the context does not exist; `no-file` for a pipe or a device.
        NothingSelectedError: there is nothing to check in them.
    """
    roots = context.roots()
    if not paths:
        return LintResult(checked=len(_paths_in(roots)), problems=tuple(_lint_recipes(roots, ())))
    _require_readable(paths)
    given = _sorted_out(paths)
    if not given.checked:
        raise NothingSelectedError(
            f"nothing that could be checked is in {', '.join(map(str, paths))}",
            hint="give recipes (*.yaml), locks, mlorch.yaml, Dockerfiles, or a folder with some",
        )
    problems = _lint_given_recipes(roots, given)
    for path in given.others:
        problems += _lint_other(path)
    for path in given.dockerfiles:
        problems += _lint_dockerfile(path)
    return LintResult(checked=given.checked, problems=tuple(dict.fromkeys(problems)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """Files and folders by what is in them; ``others`` are settings and locks."""

    folders: tuple[Root, ...]
    recipes: tuple[Path, ...]
    others: tuple[Path, ...]
    dockerfiles: tuple[Path, ...]

    @property
    def wanted(self) -> set[str]:
        """The files of recipes."""
        return {*map(str, self.recipes), *_paths_in(self.folders)}

    @property
    def checked(self) -> int:
        return len(self.wanted) + len(self.others) + len(self.dockerfiles)


def _sorted_out(paths: Sequence[Path]) -> _Given:
    folders = tuple(Root(path=path, origin=f"path:{path}") for path in paths if path.is_dir())
    dockerfiles = dockerfiles_of(paths)
    files = [path for path in paths if path.is_file() and path not in dockerfiles]
    others = [path for path in files if _is_settings_or_lock(path)]
    recipes = tuple(path for path in files if path not in others)
    others += [path for folder in folders for path in _settings_and_locks(folder.path)]
    return _Given(folders=folders, recipes=recipes, others=tuple(dict.fromkeys(others)), dockerfiles=dockerfiles)


def _lint_given_recipes(roots: Sequence[Root], given: _Given) -> list[Problem]:
    """What is wrong in the recipes that were given; of Dockerfiles alone no recipe says anything."""
    wanted = given.wanted
    if not wanted:
        return []
    found = _lint_recipes((*roots, *given.folders), given.recipes)
    return [problem for problem in found if _is_in(problem, wanted, given.folders)]


def _require_readable(paths: Sequence[Path]) -> None:
    """Only files and folders are linted: a pipe would be waited for, a device read without end.

    Raises `UsageError` [no-file].
    """
    for path in paths:
        if not path.is_file() and not path.is_dir():
            raise UsageError(
                f"{path} is neither a file nor a folder", hint="give recipes, Dockerfiles or folders", slug="no-file"
            )


def _settings_and_locks(folder: Path) -> list[Path]:
    """Those below a folder, hidden folders left out."""
    found = []
    for path in sorted(folder.rglob("*.yaml")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and _is_settings_or_lock(path) and path.is_file():
            found.append(path)
    return found


def _lint_recipes(roots: Sequence[Root], files: Sequence[Path]) -> list[Problem]:
    """What is wrong in all recipes; in what is rendered from them only where they are right."""
    gathered = gather(roots, files, recipe_files)
    problems = list(dict.fromkeys([*gathered.problems, *check(gathered.catalog)]))
    return problems or _lint_all_rendered(gathered.catalog)


def _paths_in(roots: Sequence[Root]) -> list[str]:
    return [str(path) for root in roots for path in definition_files(root)]


def _is_settings_or_lock(path: Path) -> bool:
    return path.name == SETTINGS_NAME or path.name.endswith(".lock.yaml")


def _is_in(problem: Problem, wanted: set[str], folders: Sequence[Root]) -> bool:
    """Whether a problem is in one of the files that were asked for; one without a place is of all."""
    if problem.span is None:
        return True
    path = problem.span.path
    return path in wanted or any(Path(path).is_relative_to(root.path) for root in folders)


def _lint_other(path: Path) -> tuple[Problem, ...]:
    """What is wrong in settings or a lock, of a layer or of a model or data set."""
    try:
        document = read_document(path)
        if path.name != SETTINGS_NAME:
            decode(document, AssetLock if document.node(("kind",)) is not None else LayerLock)
        elif not document.says_nothing:
            decode(document, SettingsFile)
    except DefinitionError as error:
        return error.problems()
    return ()


# -- Dockerfiles ---------------------------------------------------------------------------


def dockerfiles_of(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The Dockerfiles among files, and those below folders, sorted."""
    found = [path for path in paths if path.is_file() and is_dockerfile(path)]
    for folder in (path for path in paths if path.is_dir()):
        found += sorted(path for path in folder.rglob("*") if path.is_file() and is_dockerfile(path))
    return tuple(dict.fromkeys(found))


def is_dockerfile(path: Path) -> bool:
    """Whether a file is one by its name; templates are not, what they give is checked."""
    name = path.name.lower()
    if any(fnmatch(name, pattern) for pattern in _NOT):
        return False
    return any(fnmatch(name, pattern) for pattern in _DOCKERFILES)


def _lint_dockerfile(path: Path) -> tuple[Problem, ...]:
    """What is wrong in a Dockerfile; that it cannot be read is a fault itself."""
    try:
        if path.stat().st_size > _LARGEST:
            return (_unreadable(path, f"it is larger than {_LARGEST >> 20} MiB"),)
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        return (_unreadable(path, error.strerror or str(error)),)
    except UnicodeDecodeError as error:
        return (_unreadable(path, str(error)),)
    return tuple(lint_text(text, str(path)))


def _unreadable(path: Path, why: str) -> Problem:
    span = Span(path=str(path), line=1, column=1, end_line=1, end_column=2)
    return Problem(slug="unreadable", message=f"cannot read the Dockerfile: {why}", span=span)


def _lint_all_rendered(catalog: Catalog) -> list[Problem]:
    """The faults of templates and of what they give, for every layer of every benchmark on every target."""
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
    return list(problems)


def lint_rendered(plans: Sequence[BuildPlan]) -> tuple[Problem, ...]:
    """What is wrong in rendered Dockerfiles; their path is the one that `mlorch render -o` writes below its folder."""
    finished = {plan.image for plan in plans}
    problems: list[Problem] = []
    for step in merge_layers(plans):
        problems += lint_text(
            step.dockerfile,
            f"{plans[0].target}/{step.name}/Dockerfile",
            tag=step.image,
            contexts=tuple(step.contexts),
            runs=step.image in finished,
        )
    return tuple(problems)
