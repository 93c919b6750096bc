"""Find and decode definitions; every fault of every file in one error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.catalog.check import check_entry, check_references
from orchestrator.definitions.catalog.choose import with_choices
from orchestrator.definitions.catalog.entries import AnyEntry, Catalog, Entry, Key
from orchestrator.definitions.catalog.roots import Root, definition_files, inside
from orchestrator.definitions.catalog.short import Short, is_short, write_out
from orchestrator.definitions.kinds.recipes import KINDS
from orchestrator.definitions.variations import vary
from orchestrator.definitions.yaml import Document, decode, read_document, suggestion
from orchestrator.definitions.yaml.nodes import MapNode, ScalarNode
from orchestrator.definitions.yaml.text import listing
from orchestrator.errors import DefinitionError, Problem, Span, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from orchestrator.definitions.catalog.by_file import Look
    from orchestrator.definitions.variations import Change


@dataclass(frozen=True, slots=True)
class Gathered:
    """A catalogue of what could be decoded, and the faults of what could not."""

    catalog: Catalog
    problems: tuple[Problem, ...]


def load(roots: Sequence[Root], look: Look | None = None) -> Catalog:
    """The catalogue of some roots; later ones replace equal (kind, name) of earlier ones.

    ``look`` reads the files that benchmarks name as their models.

    Raises `DefinitionError` with every fault of every file: what cannot be decoded,
    or else names that are not defined. `check` looks at files and locks too.
    """
    gathered = gather(roots, look=look)
    problems = gathered.problems or check_references(gathered.catalog)
    if problems:
        raise DefinitionError(problems)
    return gathered.catalog


def load_chosen(catalog: Catalog, names: Sequence[str], changes: Sequence[Change]) -> Catalog:
    """``catalog`` with the benchmarks ``names`` as ``--set`` wants them.

    Raises as `with_choices`, and `DefinitionError` where a recipe with these choices names what there is not.
    """
    if not changes:
        return catalog
    varied = with_choices(catalog, names, changes)
    problems = [found for name in names for found in check_entry(varied, varied.benchmark(name))]
    if problems:
        raise DefinitionError(problems)
    return varied


def load_file(catalog: Catalog, path: Path, kind: str) -> AnyEntry:
    """The definition in a file that lies in no folder of recipes, checked against ``catalog``.

    Raises `DefinitionError` with every fault of it; `wrong-kind` where it defines something else.
    """
    root = Root(path.absolute().parent, f"path:{path}")
    entry = _read(root, path, set())
    if entry is None or isinstance(entry, Short) or kind_of(entry) != kind:
        message = f"{path} defines no {kind}"
        raise DefinitionError.fault("wrong-kind", message, f"name a file with `kind: {kind}`", Span.at(str(path)))
    problems = check_entry(catalog, entry)
    if problems:
        raise DefinitionError(problems)
    return entry


def index_of(catalog: Catalog) -> list[list[str | int]] | None:
    """Where each definition of a whole catalogue was written, as a form of JSON: kind, name, number of root, path.

    None where a benchmark in short is among them, which cannot be read alone.
    """
    if catalog.written_out:
        return None
    numbers = {(root.path, root.origin): number for number, root in enumerate(catalog.roots)}
    return [
        [kind, name, numbers[entry.root, entry.origin], str(entry.path)]
        for (kind, name), entry in catalog.by_key.items()
    ]


def load_indexed(roots: Sequence[Root], index: Sequence[Sequence[Any]]) -> Catalog:
    """A catalogue that `load` found to be without faults, by its `index_of`: a recipe is read when it is asked for.

    Raises ValueError for an index that is none; the look-ups of the catalogue raise `DefinitionError` for a file
    that is not any more what it was.
    """
    places = {(str(kind), str(name)): (roots[number], Path(path)) for kind, name, number, path in index}
    return Catalog(by_key=OnDemand(places), roots=tuple(roots))


class OnDemand(Mapping[Key, AnyEntry]):
    """Definitions by kind and name, each read from its file when it is first asked for."""

    def __init__(self, places: Mapping[Key, tuple[Root, Path]]) -> None:
        self._places = places
        self._read: dict[Key, AnyEntry] = {}

    def __getitem__(self, key: Key) -> AnyEntry:
        if key not in self._read:
            root, path = self._places[key]
            entry = _read(root, path, set())
            if entry is None or isinstance(entry, Short) or _key(entry) != key:
                message = f"{path} has changed while mlorch reads it"
                raise DefinitionError.fault("recipe-changed", message, "try again", Span.at(str(path)))
            self._read[key] = entry
        return self._read[key]

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[Key]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def gather(roots: Sequence[Root], files: Sequence[Path] = (), look: Look | None = None) -> Gathered:
    """As `load`, without raising; `files` are single recipes laid over the roots."""
    entries: dict[Key, AnyEntry | Short] = {}
    problems: list[Problem] = []
    broken: set[Key] = set()
    for root in roots:
        if not root.path.is_dir():
            raise UsageError(f"there is no folder {root.path}", slug="no-recipes", hint="give a folder of recipes")
    found = [(root, definition_files(root)) for root in roots]
    found += [(Root(path.absolute().parent, f"path:{path}"), iter([path])) for path in files]
    for root, paths in found:
        mine: dict[Key, AnyEntry | Short] = {}
        for path in paths:
            try:
                entry = _read(root, path, broken)
            except DefinitionError as error:
                problems += error.problems()
                continue
            if entry is None:
                continue
            key = _key(entry)
            if key in mine:
                problems.append(_twice(mine[key], entry))
            else:
                mine[key] = entry
        entries.update(mine)
    shorts = [entry for entry in entries.values() if isinstance(entry, Short)]
    whole = {key: entry for key, entry in entries.items() if not isinstance(entry, Short)}
    done = write_out(shorts, whole, broken, look)
    catalog = Catalog(
        by_key=done.entries,
        roots=tuple(roots),
        broken=frozenset(done.broken),
        written_out=bool(shorts),
    )
    return Gathered(catalog, (*problems, *done.problems))


def _key(entry: AnyEntry | Short) -> Key:
    return ("benchmark", entry.name) if isinstance(entry, Short) else (kind_of(entry), entry.definition.name)


def _read(root: Root, path: Path, broken: set[Key]) -> AnyEntry | Short | None:
    """A file as a definition; None for a list of published images, which `build -o` may have put beside recipes."""
    try:
        within = inside(path, root.path)
    except (OSError, RuntimeError):
        within = path  # not there, or a loop of links: reading says so
    if within is None:
        message = f"this recipe is a link that leads out of {root.path}"
        raise DefinitionError.fault("file-outside", message, "copy the file", Span.at(str(path)))
    document = read_document(path)
    if _is_published_list(document):
        return None
    kind = _kind(document)
    if is_short(document):
        return Short(name=_key_name(document), document=document, path=path, root=root)
    try:
        variation = vary(document)  # with the defaults of its axes
        definition = decode(variation.document, KINDS[kind])
    except DefinitionError:
        broken.add((kind, _key_name(document)))
        raise
    return Entry(
        definition=definition,
        document=variation.document,
        path=path,
        origin=root.origin,
        root=root.path,
        written=document,
        variation=variation,
    )


def _is_published_list(document: Document) -> bool:
    return isinstance(document.root, MapNode) and document.root.entries.keys() == {"version", "images"}


def _key_name(document: Document) -> str:
    """The name that a file says, valid or not; empty where it says none."""
    node = document.node(("name",))
    return node.value if isinstance(node, ScalarNode) else ""


def _kind(document: Document) -> str:
    """The kind that a file says it is; `DefinitionError` where it is none."""
    node = document.node(("kind",))
    if isinstance(node, ScalarNode) and node.value in KINDS:
        return node.value
    if document.root is None:
        problem = document.fault("empty-file", "this file is empty", hint="see `mlorch recipes new`")
    elif not isinstance(node, ScalarNode) or node.null:
        message = "the key `kind` is missing: it says what this file defines"
        span = document.span(("kind",), key=True)
        problem = document.problem("missing-key", message, span, listing("one of", list(KINDS)))
    else:
        hint = suggestion(node.value, KINDS)
        problem = document.fault("unknown-kind", f"there is no kind `{node.value[:60]}`", ("kind",), hint)
    raise DefinitionError([*document.problems, problem])


def kind_of(entry: AnyEntry) -> str:
    """The kind of a definition."""
    return str(getattr(entry.definition, "kind", ""))


def _twice(first: AnyEntry | Short, second: AnyEntry | Short) -> Problem:
    kind, name = _key(second)
    message = f"a second {kind} `{name}`"
    hint = f"first defined at {first.document.span(('name',))}"
    return second.document.fault("duplicate-definition", message, ("name",), hint)
