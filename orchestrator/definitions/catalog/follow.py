"""What follows from another model or another data set of a benchmark, where recipes state it. Pure.

The accuracy to reach is that of a model on a data set, and what a program must be told of its samples is a fact of
the data set: `--set model=… --set dataset=…` brings both along, each with the place that says so. A benchmark of
MLPerf that is changed so is MLPerf's no longer, and says that in its note.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.definitions.catalog.like import place
from orchestrator.definitions.kinds.assets import Dataset, Model
from orchestrator.definitions.variations import COMMAND_LINE, merge
from orchestrator.definitions.yaml.nodes import MapNode, Node, ScalarNode
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.definitions.catalog.entries import AnyEntry, Key
    from orchestrator.definitions.variations import Change, Variation
    from orchestrator.definitions.yaml import Document

_OF_MLPERF = ("model", "dataset", "harness", "accuracy", "performance_samples", "stands_for", "round")
"""What MLPerf says of a benchmark: with another one it is not that benchmark."""
_TRUE = frozenset(("true", "yes", "on"))
_LONGEST_TITLE = 120
_RATES = ("target_qps", "expected_latency_ns")
"""What one model does on one machine: of another model it is measured before the test."""
_LATENCY = ("target_latency_ns", "target_latency_percentile", "ttft_latency_ns", "tpot_latency_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fact:
    """What a recipe states: the value, its place in the benchmark, and whose recipe it is."""

    path: tuple[str, ...]
    node: Node
    entry: AnyEntry
    label: str


def with_what_follows(
    variation: Variation, before: Variation, changes: Sequence[Change], known: Mapping[Key, AnyEntry]
) -> Variation:
    """A benchmark with the changes of the command line, and with what follows from them.

    ``before`` is the benchmark without those changes that are of no axis, ``known`` all recipes.

    Raises:
        UsageError: `accuracy-unknown`, another model or data set of which nobody says what it reaches.
    """
    if any(_differs(variation.document, before.document, key) for key in ("model", "dataset")):
        variation = _followed(variation, changes, known)
    return _named_as_changed(variation, before, changes)


def _followed(variation: Variation, changes: Sequence[Change], known: Mapping[Key, AnyEntry]) -> Variation:
    document = variation.document
    model = known.get(("model", _text(document, ("model",))))
    dataset = known.get(("dataset", _text(document, ("dataset",))))
    if model is None or dataset is None:
        return variation  # the check of names tells that
    facts = [
        *_parameters(document, dataset),
        *_accuracy(document, model, dataset, _said(changes)),
        *_samples(document, dataset),
        *_no_rates(document, model),
    ]
    merged, sources, others = document.root, dict(variation.sources), dict(document.others)
    for fact in facts:
        if any(".".join(fact.path[:depth]) in _said(changes) for depth in range(1, len(fact.path) + 1)):
            continue
        place(fact.node, fact.entry.document.path)
        tree = fact.node
        for key in reversed(fact.path):
            outer = MapNode(1, 1, 1, 2)
            outer.entries[key] = (_scalar(key), tree)
            tree = outer
        assert merged is not None  # it names a model
        merged = merge(merged, tree, sources, fact.label, "")
        others[fact.entry.document.path] = fact.entry.document.lines
    varied = replace(document, root=merged, others=others)
    return replace(variation, document=varied, sources=sources)


def _said(changes: Sequence[Change]) -> set[str]:
    """The keys that the command line sets; a parameter of the harness may stand alone."""
    keys = {change.key for change in changes}
    return keys | {f"parameters.{key}" for key in keys}


def _parameters(document: Document, dataset: AnyEntry) -> list[_Fact]:
    """What the harness has to be told of a data set."""
    node = dataset.document.node(("parameters", _text(document, ("harness",))))
    if not isinstance(dataset.definition, Dataset) or not isinstance(node, MapNode):
        return []
    label = f"dataset {dataset.definition.name}"
    return [
        _Fact(path=("parameters", name), node=value, entry=dataset, label=label)
        for name, (_, value) in node.entries.items()
    ]


def _accuracy(document: Document, model: AnyEntry, dataset: AnyEntry, said: set[str]) -> list[_Fact]:
    """The accuracy of a model on a data set, in the benchmark's metric."""
    if not isinstance(model.definition, Model) or not isinstance(dataset.definition, Dataset):
        return []
    metric = _text(document, ("accuracy", "metric"))
    node = model.document.node(("reaches", dataset.definition.name, metric))
    if node is not None and document.node(("accuracy", "also")) is None:
        label = f"model {model.definition.name}"
        return [_Fact(path=("accuracy", "reference"), node=node, entry=model, label=label)]
    if said & {"accuracy", "accuracy.reference"}:
        return []
    raise UsageError(
        f"no recipe says which `{metric}` model `{model.definition.name}` reaches on `{dataset.definition.name}`",
        hint="say it with --set accuracy.reference=NUMBER, or write it under `reaches` in the model's recipe",
        slug="accuracy-unknown",
    )


def _samples(document: Document, dataset: AnyEntry) -> list[_Fact]:
    """No more samples in memory than the data set has."""
    what, wanted = dataset.definition, _text(document, ("performance_samples",))
    node = dataset.document.node(("samples",))
    if not isinstance(what, Dataset) or node is None or not wanted.isdecimal() or int(wanted) <= what.samples:
        return []
    return [_Fact(path=("performance_samples",), node=node, entry=dataset, label=f"dataset {what.name}")]


def _no_rates(document: Document, model: AnyEntry) -> list[_Fact]:
    """The rates of a recipe are those of its own model; they are taken away."""
    scenarios = document.node(("scenarios",))
    found = []
    for scenario, (_, settings) in scenarios.entries.items() if isinstance(scenarios, MapNode) else ():
        for key in _RATES:
            if settings.child(key) is not None:
                nothing = ScalarNode(1, 1, 1, 2, "", null=True)
                path = ("scenarios", scenario, key)
                found.append(_Fact(path=path, node=nothing, entry=model, label=COMMAND_LINE))
    return found


def _named_as_changed(variation: Variation, before: Variation, changes: Sequence[Change]) -> Variation:
    """A benchmark with another model or data set says so in its title; one of MLPerf also in its note."""
    changed = [change for change in changes if _differs(variation.document, before.document, change.key)]
    of_mlperf = [change for change in changed if _is_of_mlperf(change.key)]
    texts: dict[str, str] = {}
    name = _text(before.document, ("name",))
    if any(change.key in {"model", "dataset"} for change in changed):
        texts["title"] = f"{name} with {_words(changed)}"[:_LONGEST_TITLE]
    if of_mlperf and _text(before.document, ("official",)).lower() in _TRUE:
        texts["official"] = "false"
        texts["note"] = f"not MLPerf's {name}: it ran with {_words(of_mlperf)}; not an MLPerf submission"
    said = {change.key for change in changes}
    tree, sources = MapNode(1, 1, 1, 2), dict(variation.sources)
    for key, text in texts.items():
        if key not in said:
            tree.entries[key] = (_scalar(key), _scalar(text))
    assert variation.document.root is not None  # it has a name
    merged = merge(variation.document.root, tree, sources, COMMAND_LINE, "")
    return replace(variation, document=replace(variation.document, root=merged), sources=sources)


def _differs(document: Document, other: Document, key: str) -> bool:
    one, two = (each.node(tuple(key.split("."))) for each in (document, other))
    return (one and one.plain()) != (two and two.plain())


def _words(changes: Sequence[Change]) -> str:
    return ", ".join(f"{change.key}={change.value}" for change in changes)


def _scalar(text: str) -> ScalarNode:
    return ScalarNode(1, 1, 1, 2, text, null=False)


def _is_of_mlperf(key: str) -> bool:
    parts = key.split(".")
    return parts[0] in _OF_MLPERF or (parts[0] == "scenarios" and parts[-1] in {"scenarios", *_LATENCY})


def _text(document: Document, loc: tuple[str, ...]) -> str:
    node = document.node(loc)
    return node.value if isinstance(node, ScalarNode) else ""
