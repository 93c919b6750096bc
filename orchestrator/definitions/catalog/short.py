"""Benchmarks in short, once all other recipes are known: `like` another, over a model that is named by its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.definitions.catalog.by_file import fault, file_of, is_file, is_url, model_of, named, with_tensors
from orchestrator.definitions.catalog.by_folder import dataset_of, samples_of, with_samples
from orchestrator.definitions.catalog.entries import AnyEntry, Entry, Key
from orchestrator.definitions.catalog.like import base_name, laid_over
from orchestrator.definitions.kinds.benchmarks import Benchmark
from orchestrator.definitions.kinds.harnesses import Harness
from orchestrator.definitions.variations import vary
from orchestrator.definitions.yaml import decode, suggestion
from orchestrator.definitions.yaml.nodes import ScalarNode
from orchestrator.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.definitions.catalog.by_file import Look
    from orchestrator.definitions.catalog.roots import Root
    from orchestrator.definitions.yaml import Document
    from orchestrator.definitions.yaml.nodes import Node
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
    model, dataset = document.node(("model",)), document.node(("dataset",))
    return document.node(("like",)) is not None or is_file(model) or is_url(model) or is_file(dataset)


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
    document, implied = _with_files(short, document, done.entries, look)
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
    done.entries |= implied


def _with_files(
    short: Short, document: Document, entries: Mapping[Key, AnyEntry], look: Look | None
) -> tuple[Document, dict[Key, AnyEntry]]:
    """The benchmark with names where it named a file or a folder, and the recipes of the model and data that these are.

    Whatever is at fault elsewhere, nothing is made for a benchmark without a name: decoding it tells that.
    """
    implied: dict[Key, AnyEntry] = {}
    file = file_of(document, short.path, look)
    samples = samples_of(document, short.path, look)
    model = None if file is None else model_of(document, file, short.path, short.root)
    if file is not None and model is not None:
        name = _free(document, file.node, "model", model, entries)
        implied["model", name] = model
        document = named(document, file, name)
        if _is_ours(document, entries):
            document = with_tensors(document, file)
    if samples is not None:
        dataset = dataset_of(document, samples, file, short.path, short.root)
        if dataset is not None:
            name = _free(document, samples.node, "dataset", dataset, entries)
            implied["dataset", name] = dataset
            document = with_samples(document, short.document, samples, name)
    elif file is not None and file.hub is not None and file.hub.preprocessor is not None:
        message = f"`{file.name}` says how photos are prepared, and the data set here is prepared already"
        hint = "name a folder of photos: `dataset: ./photos`; or take preprocessor_config.json away"
        raise fault("preparation", message, hint, document, file.node)
    return document, implied


def _base(document: Document, name: str, entries: Mapping[Key, AnyEntry]) -> AnyEntry:
    found = entries.get(("benchmark", name))
    if found is None:
        known = sorted(each for kind, each in entries if kind == "benchmark")
        message = f"there is no benchmark `{name[:60]}`"
        raise DefinitionError([document.fault("unknown-benchmark", message, ("like",), suggestion(name, known))])
    return found


def _free(document: Document, node: Node, kind: str, entry: AnyEntry, entries: Mapping[Key, AnyEntry]) -> str:
    """The name of a model or data set that a file or folder implies, which no other may have."""
    name = entry.definition.name
    if (kind, name) in entries:
        message = f"there is a {kind} `{name}`, and the one of this {_IS[kind]} would be called the same"
        hint = f"write `{kind}: {name}`, or give the benchmark another name"
        raise fault("duplicate-definition", message, hint, document, node)
    return name


_IS = {"model": "file", "dataset": "folder"}


def _is_ours(document: Document, entries: Mapping[Key, AnyEntry]) -> bool:
    """Whether the harness is mlorch's own, which is told the names of tensors."""
    node = document.node(("harness",))
    found = entries.get(("harness", node.value)) if isinstance(node, ScalarNode) else None
    return found is not None and isinstance(found.definition, Harness) and found.definition.program is None
