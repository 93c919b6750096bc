"""Recipes with other choices than their defaults: what ``--set`` makes of a benchmark. Pure over the catalogue."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from orchestrator.definitions.catalog.follow import with_what_follows
from orchestrator.definitions.kinds.harnesses import Harness
from orchestrator.definitions.kinds.recipes import KINDS
from orchestrator.definitions.variations import COMMAND_LINE, vary
from orchestrator.definitions.yaml import decode
from orchestrator.definitions.yaml.nodes import ScalarNode
from orchestrator.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.definitions.catalog.entries import AnyEntry, Catalog, Key
    from orchestrator.definitions.variations import Change
    from orchestrator.definitions.yaml import Document


def with_choices(catalog: Catalog, names: Iterable[str], changes: Sequence[Change]) -> Catalog:
    """The catalogue in which the benchmarks ``names`` are as ``changes`` say; `load.load_chosen` checks it.

    Raises:
        UsageError: as `variations.vary`; `bad-set`, a value that the recipe cannot have; `accuracy-unknown`, another
            model or data set of which nobody says what it reaches.
        DefinitionError: what an axis of the recipe lays over it is wrong.
    """
    mine = {("benchmark", name): chosen(catalog, catalog.get("benchmark", name), changes) for name in names}
    others = cast("dict[Key, AnyEntry]", catalog.by_key)
    return replace(catalog, by_key=ChainMap(mine, others))  # the others are read when they are asked for


def chosen(catalog: Catalog, entry: AnyEntry, changes: Sequence[Change]) -> AnyEntry:
    """A recipe with the choices of ``changes``; raises as `with_choices`."""
    try:
        return varied(catalog, entry, changes)
    except DefinitionError as error:
        axes = getattr(entry.definition, "axes", {})
        if all(change.key in axes for change in changes):
            raise  # the recipe itself says what is wrong, and it is told where
        raise _said_by(error, changes) from None


def varied(catalog: Catalog, entry: AnyEntry, changes: Sequence[Change]) -> AnyEntry:
    """As `chosen`; raises `DefinitionError`, located, where the recipe with these choices cannot be decoded."""
    kind = str(getattr(entry.definition, "kind", ""))
    model = KINDS[kind]
    fields = [info.alias or name for name, info in model.model_fields.items()]
    document = entry.written or entry.document

    def parameters(merged: Document) -> Sequence[str]:
        return _parameters(catalog, merged)

    variation = vary(document, changes, fields=fields, parameters=parameters)
    if kind == "benchmark":
        axes = getattr(entry.definition, "axes", {})
        before = vary(document, [change for change in changes if change.key in axes])
        variation = with_what_follows(variation, before, changes, catalog.by_key)
    definition = decode(variation.document, model)
    return replace(entry, definition=definition, document=variation.document, variation=variation)


def _parameters(catalog: Catalog, document: Document) -> Sequence[str]:
    """The parameters of the harness that a merged recipe names."""
    node = document.node(("harness",))
    found = catalog.by_key.get(("harness", node.value)) if isinstance(node, ScalarNode) else None
    harness = cast("Harness", found.definition) if found is not None else None
    if not isinstance(harness, Harness) or harness.program is None:
        return ()
    return tuple(harness.program.parameters)


def _said_by(error: DefinitionError, changes: Sequence[Change]) -> UsageError:
    """A fault of a merged recipe, told of the words on the command line: the file itself is valid."""
    words = " ".join(f"--set {change.key}={change.value}" for change in changes)
    return UsageError(f"{words}: {error.message}", hint=error.hint, slug="bad-set")


def source_of(entry: AnyEntry, path: str) -> str:
    """What wrote the value at a dotted path: ``PATH:LINE:COL`` and the choice that brought it, or ``command line``."""
    sources = entry.variation.sources if entry.variation is not None else {}
    label = ""
    for known, each in sources.items():
        if path == known or path.startswith(f"{known}."):
            label = each
    if label == COMMAND_LINE:
        return label
    where = str(entry.document.span(tuple(_step(part) for part in path.split("."))))
    return f"{where} ({label})" if label else where


def _step(part: str) -> str | int:
    return int(part) if part.isdigit() else part
