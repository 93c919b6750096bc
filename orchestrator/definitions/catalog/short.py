"""Benchmarks in short, once all other recipes are known: `like` another, over a model that is named by its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.definitions.catalog.by_file import file_of, is_file, model_of, named, with_tensors
from orchestrator.definitions.catalog.entries import AnyEntry, Entry, Key
from orchestrator.definitions.catalog.like import base_name, laid_over
from orchestrator.definitions.kinds.recipes import Benchmark, Harness
from orchestrator.definitions.variations import vary
from orchestrator.definitions.yaml import decode, suggestion
from orchestrator.definitions.yaml.nodes import ScalarNode
from orchestrator.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.definitions.catalog.by_file import File, Look
    from orchestrator.definitions.catalog.roots import Root
    from orchestrator.definitions.yaml import Document
    from orchestrator.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """A benchmark that is not written out yet."""

    name: str
    document: Document
    path: Path
    root: Root


def is_short(document: Document) -> bool:
    """Whether a recipe is a benchmark in short that has a name."""
    kind, name = document.node(("kind",)), document.node(("name",))
    if not isinstance(kind, ScalarNode) or kind.value != "benchmark" or not isinstance(name, ScalarNode):
        return False
    return document.node(("like",)) is not None or is_file(document.node(("model",)))


@dataclass(slots=True)
class WrittenOut:
    """All entries, those in short and the models that they imply among them; the faults of the others."""

    entries: dict[Key, AnyEntry]
    problems: list[Problem] = field(default_factory=list)
    broken: set[Key] = field(default_factory=set)


def write_out(
    shorts: Iterable[Short], known: Mapping[Key, AnyEntry], broken: set[Key], look: Look | None
) -> WrittenOut:
    """All benchmarks in short as entries beside those that are ``known``; nothing is raised.

    One that is like a recipe with faults has no faults of its own.
    """
    waiting = {each.name: each for each in shorts}
    done = WrittenOut(dict(known), broken=set(broken))
    while waiting:
        ready = [name for name, short in waiting.items() if _base_of(short) not in waiting]
        for name in ready:
            short = waiting.pop(name)
            try:
                _write_out(short, done, look)
            except DefinitionError as error:
                done.problems += error.problems()
                done.broken.add(("benchmark", name))
        if not ready:
            done.problems += [problem for short in waiting.values() for problem in _circle(short, waiting)]
            done.broken |= {("benchmark", name) for name in waiting}
            waiting = {}
    return done


def _base_of(short: Short) -> str | None:
    node = short.document.node(("like",))
    return node.value if isinstance(node, ScalarNode) else None


def _circle(short: Short, waiting: Mapping[str, Short]) -> Iterator[Problem]:
    """The fault of a benchmark that is like itself, at the end of a chain or at once."""
    seen, at = [short.name], _base_of(short)
    while at is not None and at not in seen:
        seen.append(at)
        at = _base_of(waiting[at])
    if at == short.name:  # else the circle is further down, and told there
        message = f"benchmark `{short.name}` is like itself: {' like '.join([*seen, at])}"
        yield short.document.fault("like-circle", message, ("like",), "let one of them stand alone")


def _write_out(short: Short, done: WrittenOut, look: Look | None) -> None:
    document = short.document
    base = base_name(document)
    if base is not None:
        if ("benchmark", base) in done.broken:
            done.broken.add(("benchmark", short.name))
            return
        document = laid_over(document, _base(document, base, done.entries))
    file = file_of(document, short.path, look)
    model = None if file is None else model_of(document, file, short.path, short.root)
    if file is not None and model is not None:
        _require_free(document, file, model, done.entries)
        document = named(document, file, model.definition.name)
        if _is_ours(document, done.entries):
            document = with_tensors(document, file)
    variation = vary(document)
    definition = decode(variation.document, Benchmark)
    done.entries["benchmark", short.name] = Entry(
        definition=definition,
        document=variation.document,
        path=short.path,
        origin=short.root.origin,
        root=short.root.path,
        written=document,
        variation=variation,
    )
    if model is not None:
        done.entries["model", model.definition.name] = model


def _base(document: Document, name: str, entries: Mapping[Key, AnyEntry]) -> AnyEntry:
    found = entries.get(("benchmark", name))
    if found is None:
        known = sorted(each for kind, each in entries if kind == "benchmark")
        message = f"there is no benchmark `{name[:60]}`"
        raise DefinitionError([document.fault("unknown-benchmark", message, ("like",), suggestion(name, known))])
    return found


def _require_free(document: Document, file: File, model: AnyEntry, entries: Mapping[Key, AnyEntry]) -> None:
    name = model.definition.name
    if ("model", name) in entries:
        message = f"there is a model `{name}`, and the one of this file would be called the same"
        hint = f"write `model: {name}`, or give the benchmark another name"
        span = file.node.span(document.path)
        raise DefinitionError([document.problem("duplicate-definition", message, span, hint)])


def _is_ours(document: Document, entries: Mapping[Key, AnyEntry]) -> bool:
    """Whether the harness is mlorch's own, which is told the names of tensors."""
    node = document.node(("harness",))
    found = entries.get(("harness", node.value)) if isinstance(node, ScalarNode) else None
    return found is not None and isinstance(found.definition, Harness) and found.definition.program is None
