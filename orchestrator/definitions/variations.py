"""Variations of a recipe: axes with a choice each, parts under a condition, and what ``--set`` changes; pure.

A recipe may have ``axes`` (implementation, precision, …). Each value of an axis lays a tree over the recipe; ``parts``
lay one where several choices meet; ``conflicts`` say what does not go together. The tree is merged before it is
decoded, so every value keeps the line and column where it was written, and a fault in it is told there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.definitions.axes import IDENTITY, OWN, meets, read_axes
from orchestrator.definitions.yaml.document import read_document
from orchestrator.definitions.yaml.nodes import ListNode, MapNode, ScalarNode
from orchestrator.definitions.yaml.text import suggestion
from orchestrator.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orchestrator.definitions.axes import Axes, Axis
    from orchestrator.definitions.yaml.document import Document
    from orchestrator.definitions.yaml.nodes import Node

_DEEPEST_KEY = 32
"""Parts of a key; no document is deeper either."""
COMMAND_LINE = "command line"
_TEXTS = ("title", "description", "note")
"""Fields that can be set and that nobody looks for: not in the list of a mistyped key's hint."""


@dataclass(frozen=True, slots=True)
class Change:
    """One ``--set KEY=VALUE``; the value is YAML."""

    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """A recipe with its choices made.

    ``document`` is the merged tree, ``chosen`` maps each axis to its value, ``sources`` a dotted path to what wrote
    the value there last: a note of the document, ``AXIS=VALUE``, ``AXIS=VALUE AXIS=VALUE`` or ``command line``.
    ``by_hand`` maps the path of each value that the command line made another, without being an axis, to what it was
    and what it is; empty where there is none.
    """

    document: Document
    chosen: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    by_hand: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def parse_changes(texts: Iterable[str], document: Document | None = None) -> tuple[Change, ...]:
    """``KEY=VALUE`` texts; raises `UsageError` [bad-set] for one without a key or said twice.

    ``document`` is the recipe that they change: the hint takes its example from there.
    """
    found: dict[str, Change] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        parts = key.split(".")
        if not equals or not all(parts) or len(parts) > _DEEPEST_KEY:
            raise UsageError(f"--set takes KEY=VALUE, not `{text[:80]}`", hint=_example(document), slug="bad-set")
        if key in found:
            raise UsageError(f"--set says `{key}` twice", hint="say it once", slug="bad-set")
        found[key] = Change(key, value.strip())
    return tuple(found.values())


def choices_of(document: Document) -> tuple[Change, ...]:
    """Every choice that a recipe offers, in the order of its text."""
    if not isinstance(document.root, MapNode):
        return ()
    axes = read_axes(document, document.root).axes
    return tuple(Change(name, value) for name, axis in axes.items() for value in axis.values)


def _example(document: Document | None) -> str:
    """A hint: a choice that this recipe has."""
    choices = choices_of(document) if document is not None else ()
    example = "performance_samples=64"
    if choices:
        of_first = [choice for choice in choices if choice.key == choices[0].key]
        example = f"{of_first[-1].key}={of_first[-1].value}"
    return f"e.g. --set {example}; `mlorch recipes show NAME` has what can be set"


def vary(
    document: Document,
    changes: Sequence[Change] = (),
    *,
    fields: Sequence[str] = (),
    parameters: Callable[[Document], Sequence[str]] | None = None,
) -> Variation:
    """The recipe in ``document`` with the choices of ``changes``, else the defaults.

    A key is an axis, a field of the recipe by its dotted path, or a parameter of the harness that the recipe
    comes to name: ``fields`` are those that the recipe may have, ``parameters`` gives those of a merged document.

    Raises:
        UsageError: `unknown-set`, a key that is none of them; `unknown-choice`, a value that an axis does not have;
            `choices-conflict`, choices that exclude each other, with both sides and the reason.
        DefinitionError: axes that are not well formed.
    """
    root = document.root
    if not isinstance(root, MapNode):
        return Variation(document=document)
    found = read_axes(document, root)
    axes = found.axes
    chosen = _choose(axes, changes)
    sources = dict(document.notes)
    merged: Node = _copy(root)
    for axis, value in chosen.items():
        overlay = axes[axis].values[value]
        if overlay is not None:
            merged = merge(merged, overlay, sources, f"{axis}={value}", "")
    for part in found.parts:
        if meets(part.when, chosen):
            label = " ".join(f"{axis}={chosen[axis]}" for axis in part.when)
            merged = merge(merged, part.overlay, sources, label, "")
    _require_compatible(found, chosen)
    chosen_only = varied = replace(document, root=merged)
    for change in changes:
        if change.key not in axes:
            free = () if parameters is None else tuple(parameters(varied))
            varied = _set(varied, change, sources, [*axes, *root.entries, *fields], free)
    by_hand = _differences(chosen_only, varied) if varied is not chosen_only else {}
    return Variation(document=varied, chosen=chosen, sources=sources, by_hand=by_hand)


def _differences(before: Document, after: Document) -> dict[str, tuple[str, str]]:
    was, now = dict(leaves(before)), dict(leaves(after))
    changed = [path for path in {**was, **now} if was.get(path) != now.get(path)]
    return {path: (was.get(path, ""), now.get(path, "")) for path in changed}


def leaves(document: Document) -> tuple[tuple[str, str], ...]:
    """Every value of a merged recipe by its dotted path, in the order of the text; without the axes themselves."""
    return tuple(_leaves(document.root, "")) if document.root is not None else ()


def _leaves(node: Node, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, MapNode):
        for key, (_, value) in node.entries.items():
            if path or key not in OWN:
                yield from _leaves(value, f"{path}.{key}" if path else key)
    elif isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from _leaves(item, f"{path}.{index}")
    elif isinstance(node, ScalarNode):
        yield path, "" if node.null else node.value


# -- choices -----------------------------------------------------------------------------------


def _choose(axes: Mapping[str, Axis], changes: Sequence[Change]) -> dict[str, str]:
    chosen = {name: axis.default for name, axis in axes.items()}
    for change in changes:
        axis = axes.get(change.key)
        if axis is None:
            continue
        if change.value not in axis.values:
            raise UsageError(
                f"`{change.key}` cannot be `{change.value[:60]}`",
                hint=suggestion(change.value, axis.values),
                slug="unknown-choice",
            )
        chosen[change.key] = change.value
    return chosen


def _require_compatible(found: Axes, chosen: Mapping[str, str]) -> None:
    for conflict in found.conflicts:
        when = conflict.when
        if not meets(when, chosen):
            continue
        sides = " and ".join(f"`{axis}={chosen[axis]}`" for axis in when)
        others = [
            f"{axis}={value}"
            for axis, values in when.items()
            for value in found.axes[axis].values
            if value not in values
        ]
        hint = f"choose another: {', '.join(f'--set {each}' for each in others[:6])}" if others else ""
        raise UsageError(f"{sides} exclude each other: {conflict.because}", hint=hint, slug="choices-conflict")


# -- trees -------------------------------------------------------------------------------------


def _copy(node: MapNode) -> MapNode:
    """A map of its own with the same entries, where it stood."""
    copy = MapNode(node.line, node.column, node.end_line, node.end_column)
    copy.path = node.path
    copy.entries = dict(node.entries)
    return copy


def merge(base: Node, over: Node, sources: dict[str, str], label: str, path: str) -> Node:
    """``over`` laid over ``base``: maps by their keys, all else replaced; a null takes the key away."""
    if not isinstance(base, MapNode) or not isinstance(over, MapNode):
        _note(sources, path, label)
        return over
    merged = _copy(base)
    for key, (key_node, value) in over.entries.items():
        at = f"{path}.{key}" if path else key
        if isinstance(value, ScalarNode) and value.null:
            merged.entries.pop(key, None)
            _note(sources, at, label)
        elif key in merged.entries:
            merged.entries[key] = (key_node, merge(merged.entries[key][1], value, sources, label, at))
        else:
            merged.entries[key] = (key_node, value)
            _note(sources, at, label)
    return merged


def _note(sources: dict[str, str], path: str, label: str) -> None:
    """All below ``path`` is what ``label`` says now."""
    for known in [known for known in sources if known.startswith(f"{path}.")]:
        del sources[known]
    sources[path] = label


# -- --set -------------------------------------------------------------------------------------


def _set(
    document: Document, change: Change, sources: dict[str, str], known: Sequence[str], parameters: Sequence[str]
) -> Document:
    root = document.root
    assert isinstance(root, MapNode)  # `vary` looked
    value = _value(change)
    path = change.key.split(".")
    if path[0] in IDENTITY:
        raise UsageError(f"`{path[0]}` cannot be set", hint="it says which recipe this is", slug="unknown-set")
    if path[0] not in known and change.key in parameters:
        path = ["parameters", change.key]
    elif path[0] not in known:
        names = [name for name in dict.fromkeys((*parameters, *known)) if name not in (*IDENTITY, *_TEXTS)]
        hint = suggestion(path[0] if len(path) > 1 else change.key, names)
        raise UsageError(f"there is nothing `{change.key[:80]}` to set", hint=hint, slug="unknown-set")
    overlay: Node = value
    for key in reversed(path):
        outer = MapNode(1, 1, 1, 2)
        outer.entries[key] = (ScalarNode(1, 1, 1, 2, key, null=False), overlay)
        overlay = outer
    return replace(document, root=merge(root, overlay, sources, COMMAND_LINE, ""))


def _value(change: Change) -> Node:
    try:
        node = read_document(f"--set {change.key}", change.value).root
    except DefinitionError as error:
        raise UsageError(f"--set {change.key}: {error.message}", hint="the value is YAML", slug="bad-set") from None
    if node is None:
        return ScalarNode(1, 1, 1, 2, "", null=True)
    return node
