"""Find and decode definitions; every fault of every file in one error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (a field's type)
from typing import TYPE_CHECKING

from orchestrator.definitions.catalog.check import check_references
from orchestrator.definitions.catalog.entries import AnyEntry, Catalog, Entry, Key
from orchestrator.definitions.catalog.roots import Root, definition_files, inside
from orchestrator.definitions.kinds.recipes import KINDS
from orchestrator.definitions.yaml import Document, decode, nearest, read_document
from orchestrator.definitions.yaml.document import ScalarNode
from orchestrator.errors import DefinitionError, Problem, Span, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Gathered:
    """A catalogue of what could be decoded, and the faults of what could not."""

    catalog: Catalog
    problems: tuple[Problem, ...]


def load(roots: Sequence[Root]) -> Catalog:
    """The catalogue of some roots; later ones replace equal (kind, name) of earlier ones.

    Raises `DefinitionError` with every fault of every file: what cannot be decoded,
    or else names that are not defined. `check` looks at files and locks too.
    """
    gathered = gather(roots)
    problems = gathered.problems or check_references(gathered.catalog)
    if problems:
        raise DefinitionError(problems)
    return gathered.catalog


def gather(roots: Sequence[Root], files: Sequence[Path] = ()) -> Gathered:
    """As `load`, without raising; `files` are single recipes laid over the roots."""
    entries: dict[Key, AnyEntry] = {}
    problems: list[Problem] = []
    broken: set[Key] = set()
    for root in roots:
        if not root.path.is_dir():
            raise UsageError(f"there is no folder {root.path}", slug="no-recipes", hint="give a folder of recipes")
        _read_root(root, definition_files(root), entries, problems, broken)
    for path in files:
        _read_root(Root(path.absolute().parent, f"path:{path}"), [path], entries, problems, broken)
    return Gathered(Catalog(by_key=entries, roots=tuple(roots), broken=frozenset(broken)), tuple(problems))


def _read_root(
    root: Root, paths: Iterable[Path], entries: dict[Key, AnyEntry], problems: list[Problem], broken: set[Key]
) -> None:
    mine: dict[Key, AnyEntry] = {}
    for path in paths:
        try:
            entry = _read(root, path, broken)
        except DefinitionError as error:
            problems += error.problems()
            continue
        key = (kind_of(entry), entry.definition.name)
        if key in mine:
            problems.append(_twice(mine[key], entry))
        else:
            mine[key] = entry
    entries.update(mine)


def _read(root: Root, path: Path, broken: set[Key]) -> AnyEntry:
    try:
        within = inside(path, root.path)
    except (OSError, RuntimeError):
        within = path  # not there, or a loop of links: reading says so
    if within is None:
        span = Span(path=str(path), line=1, column=1, end_line=1, end_column=2)
        message = f"this recipe is a link that leads out of {root.path}"
        raise DefinitionError([Problem(slug="file-outside", message=message, span=span, hint="copy the file")])
    document = read_document(path)
    kind = _kind(document)
    try:
        definition = decode(document, KINDS[kind])
    except DefinitionError:
        name = document.node(("name",))
        if isinstance(name, ScalarNode):
            broken.add((kind, name.value))
        raise
    return Entry(definition=definition, document=document, path=path, origin=root.origin, root=root.path)


def _kind(document: Document) -> str:
    """The kind that a file says it is; `DefinitionError` where it is none."""
    node = document.node(("kind",))
    kinds = ", ".join(f"`{kind}`" for kind in KINDS)
    if isinstance(node, ScalarNode) and node.value in KINDS:
        return node.value
    if document.root is None:
        raise DefinitionError([document.problem("empty-file", "this file is empty", document.span(()))])
    if not isinstance(node, ScalarNode) or node.null:
        span = document.span(("kind",), key=True)
        message = "the key `kind` is missing: it says what this file defines"
        raise DefinitionError([*document.problems, document.problem("missing-key", message, span, f"one of {kinds}")])
    near = nearest(node.value, KINDS)
    hint = f"did you mean `{near[0]}`?" if near else f"one of {kinds}"
    message = f"there is no kind `{node.value[:60]}`"
    raise DefinitionError([*document.problems, document.fault("unknown-kind", message, ("kind",), hint)])


def kind_of(entry: AnyEntry) -> str:
    """The kind of a definition."""
    return str(getattr(entry.definition, "kind", ""))


def _twice(first: AnyEntry, second: AnyEntry) -> Problem:
    place = first.document.span(("name",))
    message = f"a second {kind_of(second)} `{second.definition.name}`"
    return second.document.fault("duplicate-definition", message, ("name",), f"first defined at {place}")
