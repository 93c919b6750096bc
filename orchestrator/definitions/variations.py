"""Variations of a recipe: axes with a choice each, parts under a condition, and what ``--set`` changes; pure.

A recipe may have ``axes`` (implementation, precision, …). Each value of an axis lays a tree over the recipe; ``parts``
lay one where several choices meet; ``conflicts`` say what does not go together. The tree is merged before it is
decoded, so every value keeps the line and column where it was written, and a fault in it is told there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.definitions.yaml.document import read_document
from orchestrator.definitions.yaml.nodes import ListNode, MapNode, ScalarNode
from orchestrator.definitions.yaml.text import suggestion
from orchestrator.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orchestrator.definitions.yaml.document import Document
    from orchestrator.definitions.yaml.nodes import Node
    from orchestrator.errors import Problem

_DEEPEST_KEY = 32
"""Parts of a key; no document is deeper either."""
COMMAND_LINE = "command line"
_OWN = ("axes", "parts", "conflicts")
"""Keys of the recipe that say how it varies; all others can be varied."""
_IDENTITY = ("kind", "name", "like", *_OWN)
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
    """

    document: Document
    chosen: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)


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
    axes = _axes(document, document.root)
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
    axes = _axes(document, root)
    chosen = _choose(axes, changes)
    sources = dict(document.notes)
    merged: Node = _copy(root)
    for axis, value in chosen.items():
        overlay = axes[axis].values[value]
        if overlay is not None:
            merged = merge(merged, overlay, sources, f"{axis}={value}", "")
    for when, overlay in _parts(document, root, axes):
        if all(chosen[axis] in values for axis, values in when.items()):
            label = " ".join(f"{axis}={chosen[axis]}" for axis in when)
            merged = merge(merged, overlay, sources, label, "")
    _require_compatible(document, root, axes, chosen)
    varied = replace(document, root=merged)
    for change in changes:
        if change.key not in axes:
            free = () if parameters is None else tuple(parameters(varied))
            varied = _set(varied, change, sources, [*axes, *root.entries, *fields], free)
    return Variation(document=varied, chosen=chosen, sources=sources)


def leaves(document: Document) -> tuple[tuple[str, str], ...]:
    """Every value of a merged recipe by its dotted path, in the order of the text; without the axes themselves."""
    return tuple(_leaves(document.root, "")) if document.root is not None else ()


def _leaves(node: Node, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, MapNode):
        for key, (_, value) in node.entries.items():
            if path or key not in _OWN:
                yield from _leaves(value, f"{path}.{key}" if path else key)
    elif isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from _leaves(item, f"{path}.{index}")
    elif isinstance(node, ScalarNode):
        yield path, "" if node.null else node.value


# -- axes --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    default: str
    values: Mapping[str, MapNode | None]
    """Value → the tree that it lays over the recipe."""


def _axes(document: Document, root: MapNode) -> dict[str, _Axis]:
    """The axes of a recipe; raises `DefinitionError` for what is not well formed, located."""
    node = root.child("axes")
    if node is None:
        return {}
    problems: list[Problem] = []
    found: dict[str, _Axis] = {}
    for name, (_, axis) in node.entries.items() if isinstance(node, MapNode) else ():
        values = axis.child("values")
        default = axis.child("default")
        if not isinstance(values, MapNode) or not values.entries or not isinstance(default, ScalarNode):
            message = f"axis `{name}` has no `default` and `values`"
            problems.append(document.fault("axis", message, ("axes", name), "write `default: A` and `values: {A: …}`"))
            continue
        if default.value not in values.entries:
            message = f"the default `{default.value}` of axis `{name}` is none of its values"
            hint = suggestion(default.value, values.entries)
            problems.append(document.fault("axis", message, ("axes", name, "default"), hint))
            continue
        overlays = {value: entry.child("set") for value, (_, entry) in values.entries.items()}
        for value, overlay in overlays.items():
            problems += _bad_overlay(document, overlay, ("axes", name, "values", value, "set"))
        found[name] = _Axis(
            default=default.value,
            values={key: each if isinstance(each, MapNode) else None for key, each in overlays.items()},
        )
    if not isinstance(node, MapNode):
        problems.append(document.fault("axis", "`axes` is a map of axes by name", ("axes",)))
    if problems:
        raise DefinitionError(problems)
    return found


def _bad_overlay(document: Document, overlay: Node | None, loc: tuple[str, ...]) -> list[Problem]:
    """What may not be laid over a recipe: no map, or what says which recipe it is."""
    if overlay is None:
        return []
    if not isinstance(overlay, MapNode):
        return [document.fault("axis", "`set` is a map of the recipe's fields", loc)]
    return [
        document.fault("axis", f"`{key}` cannot be varied", (*loc, key), "it says which recipe this is")
        for key in overlay.entries
        if key in _IDENTITY
    ]


def _choose(axes: Mapping[str, _Axis], changes: Sequence[Change]) -> dict[str, str]:
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


def _conditions(
    document: Document, entry: Node, axes: Mapping[str, _Axis], loc: tuple[str | int, ...]
) -> dict[str, tuple[str, ...]]:
    """``when`` of a part or a conflict; raises `DefinitionError` for an axis or a value that is not there."""
    when = entry.child("when")
    if not isinstance(when, MapNode) or not when.entries:
        raise DefinitionError([document.fault("axis", "it has no `when: {AXIS: VALUE}`", loc)])
    found = {}
    for name, (_, node) in when.entries.items():
        at = (*loc, "when", name)
        if name not in axes:
            raise DefinitionError([document.fault("axis", f"there is no axis `{name}`", at, suggestion(name, axes))])
        values = (node.value,) if isinstance(node, ScalarNode) else tuple(str(each) for each in node.plain())  # type: ignore[attr-defined]
        for value in values:
            if value not in axes[name].values:
                hint = suggestion(value, axes[name].values)
                raise DefinitionError([document.fault("axis", f"axis `{name}` has no value `{value}`", at, hint)])
        found[name] = values
    return found


def _parts(
    document: Document, root: MapNode, axes: Mapping[str, _Axis]
) -> list[tuple[dict[str, tuple[str, ...]], MapNode]]:
    found = []
    for index, entry in enumerate(_items(root.child("parts"))):
        overlay = entry.child("set")
        problems = _bad_overlay(document, overlay, ("parts", index, "set"))  # type: ignore[arg-type]
        if problems or not isinstance(overlay, MapNode):
            raise DefinitionError(problems or [document.fault("axis", "a part has no `set`", ("parts", index))])
        found.append((_conditions(document, entry, axes, ("parts", index)), overlay))
    return found


def _require_compatible(
    document: Document, root: MapNode, axes: Mapping[str, _Axis], chosen: Mapping[str, str]
) -> None:
    for index, entry in enumerate(_items(root.child("conflicts"))):
        when = _conditions(document, entry, axes, ("conflicts", index))
        if not all(chosen[axis] in values for axis, values in when.items()):
            continue
        reason = entry.child("because")
        sides = " and ".join(f"`{axis}={chosen[axis]}`" for axis in when)
        why = f": {reason.value}" if isinstance(reason, ScalarNode) else ""
        others = [
            f"{axis}={value}" for axis, values in when.items() for value in axes[axis].values if value not in values
        ]
        hint = f"choose another: {', '.join(f'--set {each}' for each in others[:6])}" if others else ""
        raise UsageError(f"{sides} exclude each other{why}", hint=hint, slug="choices-conflict")


def _items(node: Node | None) -> list[Node]:
    return list(getattr(node, "items", ()))


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
    if path[0] in _IDENTITY:
        raise UsageError(f"`{path[0]}` cannot be set", hint="it says which recipe this is", slug="unknown-set")
    if path[0] not in known and change.key in parameters:
        path = ["parameters", change.key]
    elif path[0] not in known:
        names = [name for name in dict.fromkeys((*parameters, *known)) if name not in (*_IDENTITY, *_TEXTS)]
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
