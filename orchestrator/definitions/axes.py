"""How a recipe varies, read from its tree: ``axes``, ``parts`` and ``conflicts``, and every fault in them. Pure.

They are read before the recipe is decoded, as they say what it is that will be decoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice, product
from typing import TYPE_CHECKING

from orchestrator.definitions.yaml.nodes import ListNode, MapNode, ScalarNode
from orchestrator.definitions.yaml.text import suggestion
from orchestrator.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.definitions.yaml.document import Document
    from orchestrator.definitions.yaml.nodes import Node
    from orchestrator.errors import Problem

_MOST_TRIED = 4096
OWN = ("axes", "parts", "conflicts")
"""Keys of the recipe that say how it varies; all others can be varied."""
IDENTITY = ("kind", "name", "like", *OWN)
_KEYS = {
    "axis": ("about", "default", "values"),
    "value": ("title", "set"),
    "part": ("when", "set"),
    "conflict": ("when", "because"),
}

Loc = tuple[str | int, ...]
When = dict[str, tuple[str, ...]]
"""Axis → the values of it that are meant; all of them must hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """``values`` maps each value to the tree that it lays over the recipe, if it has one."""

    default: str
    values: Mapping[str, MapNode | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A tree that is laid over the recipe where several choices meet."""

    when: When
    overlay: MapNode
    loc: Loc


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Choices that do not go together, and why."""

    when: When
    because: str
    loc: Loc


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """All that a recipe says of its variations."""

    axes: Mapping[str, Axis]
    parts: Sequence[Part]
    conflicts: Sequence[Conflict]

    def defaults(self) -> dict[str, str]:
        """What is chosen where nobody chooses."""
        return {name: axis.default for name, axis in self.axes.items()}


def meets(when: When, chosen: Mapping[str, str]) -> bool:
    """Whether all choices of a ``when`` are made."""
    return all(chosen[axis] in values for axis, values in when.items())


def first_allowed(found: Axes, wanted: When) -> dict[str, str] | None:
    """Choices that have what is ``wanted`` and exclude nothing, near the defaults; None where there are none."""
    ordered = []
    for name, axis in found.axes.items():
        values = wanted.get(name, tuple(axis.values))
        ordered.append(sorted(values, key=lambda value, default=axis.default: value != default))  # type: ignore[misc]
    for values in islice(product(*ordered), _MOST_TRIED):
        chosen = dict(zip(found.axes, values, strict=True))
        if not any(meets(conflict.when, chosen) for conflict in found.conflicts):
            return chosen
    return None


def read_axes(document: Document, root: MapNode) -> Axes:
    """The axes, parts and conflicts of a recipe; raises `DefinitionError` with every fault in them."""
    reader = _Reader(document)
    axes = reader.axes(root.child("axes"))
    parts = reader.parts(root.child("parts"), axes)
    conflicts = reader.conflicts(root.child("conflicts"), axes)
    found = Axes(axes=axes, parts=parts, conflicts=conflicts)
    if not reader.problems:
        reader.problems += _never(document, found)
    if reader.problems:
        raise DefinitionError(reader.problems)
    return found


@dataclass(slots=True)
class _Reader:
    document: Document
    problems: list[Problem] = field(default_factory=list)

    def _fault(self, message: str, loc: Loc, hint: str = "") -> None:
        self.problems.append(self.document.fault("axis", message, loc, hint))

    def _map(self, node: Node | None, what: str, loc: Loc, example: str) -> MapNode | None:
        """A map of the recipe with the keys that it may have; else the fault is noted."""
        keys = _KEYS[what]
        if not isinstance(node, MapNode):
            self._fault(f"{_article(what)} is a map of {_listed(keys)}", loc, f"write `{example}`")
            return None
        for key, (key_node, _) in node.entries.items():
            if key not in keys:
                span = key_node.span(self.document.path)
                message = f"{_article(what)} has no key `{key[:60]}`"
                self.problems.append(self.document.problem("axis", message, span, suggestion(key, keys)))
        return node

    def axes(self, node: Node | None) -> dict[str, Axis]:
        if node is None:
            return {}
        if not isinstance(node, MapNode):
            self._fault("`axes` is a map of axes by name", ("axes",), "write `axes: {NAME: {default: A, values: …}}`")
            return {}
        found = {}
        for name, (_, each) in node.entries.items():
            axis = self._axis(each, name, ("axes", name))
            if axis is not None:
                found[name] = axis
        return found

    def _axis(self, node: Node, name: str, loc: Loc) -> Axis | None:
        example = "default: A, values: {A: {}, B: {set: …}}"
        map_node = self._map(node, "axis", loc, f"{{{example}}}")
        if map_node is None:
            return None
        values, default = map_node.child("values"), map_node.child("default")
        if not isinstance(values, MapNode) or not values.entries:
            at = loc if values is None else (*loc, "values")
            self._fault(f"axis `{name}` has no map of `values`", at, f"write `{example}`")
            return None
        if not isinstance(default, ScalarNode) or default.null:
            at = loc if default is None else (*loc, "default")
            self._fault(f"axis `{name}` has no `default`: one of its values", at, f"write `{example}`")
            return None
        if default.value not in values.entries:
            message = f"the default `{default.value[:60]}` of axis `{name}` is none of its values"
            self._fault(message, (*loc, "default"), suggestion(default.value, values.entries))
            return None
        overlays = {}
        for value, (_, entry) in values.entries.items():
            at = (*loc, "values", value)
            choice = self._map(entry, "value", at, f"{value}: {{}}")
            overlay = None if choice is None else choice.child("set")
            overlays[value] = None if overlay is None else self._overlay(overlay, (*at, "set"))
        return Axis(default=default.value, values=overlays)

    def _overlay(self, node: Node | None, loc: Loc) -> MapNode | None:
        """What is laid over a recipe: a map, and nothing that says which recipe it is."""
        if not isinstance(node, MapNode) or not node.entries:
            self._fault("`set` is a map of the recipe's fields", loc, "write `set: {FIELD: VALUE}`")
            return None
        for key in node.entries:
            if key in IDENTITY:
                self._fault(f"`{key}` cannot be varied", (*loc, key), "it says which recipe this is")
        return node

    def parts(self, node: Node | None, axes: Mapping[str, Axis]) -> list[Part]:
        found = []
        for loc, entry in self._items(node, "parts", "part", "{when: {AXIS: VALUE}, set: …}"):
            when = self._when(entry.child("when"), axes, (*loc, "when"), loc, "part")
            if entry.child("set") is None:
                self._fault("a part has no `set`", loc, "write `set: {FIELD: VALUE}`")
                continue
            overlay = self._overlay(entry.child("set"), (*loc, "set"))
            if when and overlay is not None:
                found.append(Part(when=when, overlay=overlay, loc=loc))
        return found

    def conflicts(self, node: Node | None, axes: Mapping[str, Axis]) -> list[Conflict]:
        found = []
        for loc, entry in self._items(node, "conflicts", "conflict", "{when: {AXIS: VALUE, AXIS: VALUE}, because: …}"):
            when = self._when(entry.child("when"), axes, (*loc, "when"), loc, "conflict")
            because = entry.child("because")
            if not isinstance(because, ScalarNode) or because.null:
                self._fault("a conflict does not say why: `because`", loc, "write `because: ONE SENTENCE`")
                continue
            node_when = entry.child("when")
            if isinstance(node_when, MapNode) and len(node_when.entries) == 1:
                message = f"a conflict is between two axes, and this one has `{next(iter(node_when.entries))}` alone"
                self._fault(message, (*loc, "when"), "name the other side, or take the value out of its axis")
            found.append(Conflict(when=when, because=because.value, loc=loc))
        return found

    def _items(self, node: Node | None, key: str, what: str, example: str) -> Iterator[tuple[Loc, MapNode]]:
        if node is None:
            return
        if not isinstance(node, ListNode):
            self._fault(f"`{key}` is a list", (key,), f"write `{key}: [{example}]`")
            return
        for index, item in enumerate(node.items):
            entry = self._map(item, what, (key, index), example)
            if entry is not None:
                yield (key, index), entry

    def _when(self, node: Node | None, axes: Mapping[str, Axis], loc: Loc, above: Loc, what: str) -> When:
        if not isinstance(node, MapNode) or not node.entries:
            at = above if node is None else loc
            self._fault(f"{_article(what)} has no `when: {{AXIS: VALUE}}`", at, "name an axis and a value of it")
            return {}
        found = {}
        for name, (_, wanted) in node.entries.items():
            at = (*loc, name)
            if name not in axes:
                if name not in self._written():  # else it has a fault itself, and that is told
                    self._fault(f"there is no axis `{name[:60]}`", at, suggestion(name, axes))
                continue
            values = self._values(wanted, at)
            for value in values:
                if value not in axes[name].values:
                    message = f"axis `{name}` has no value `{value[:60]}`"
                    self._fault(message, at, suggestion(value, axes[name].values))
            if values:
                found[name] = values
        return found

    def _written(self) -> Sequence[str]:
        """The names of all axes, well formed or not."""
        node = self.document.node(("axes",))
        return tuple(node.entries) if isinstance(node, MapNode) else ()

    def _values(self, node: Node, loc: Loc) -> tuple[str, ...]:
        items = node.items if isinstance(node, ListNode) else [node]
        values = [item.value for item in items if isinstance(item, ScalarNode) and not item.null]
        if not values or len(values) != len(items):
            self._fault("a choice is a value of its axis, or a list of them", loc, "write `AXIS: VALUE`")
            return ()
        if len(set(values)) != len(values):
            self._fault("a value stands in this list twice", loc, "name it once")
        return tuple(values)


def _never(document: Document, found: Axes) -> Iterator[Problem]:
    """What could never be chosen: defaults that exclude each other, a value that goes with nothing."""
    for conflict in found.conflicts:
        limited = [axis for axis, values in conflict.when.items() if set(values) != set(found.axes[axis].values)]
        if meets(conflict.when, found.defaults()):
            sides = " and ".join(f"`{axis}={found.axes[axis].default}`" for axis in conflict.when)
            hint = "give one of the axes another default"
            yield document.fault("axis", f"the defaults {sides} exclude each other", (*conflict.loc, "when"), hint)
        elif len(limited) <= 1:
            values = ", ".join(conflict.when[limited[0]])
            message = f"`{limited[0]}` could never be {values}: this excludes it whatever else is chosen"
            hint = "take the value out of its axis, or make the conflict narrower"
            yield document.fault("axis", message, (*conflict.loc, "when"), hint)


def _article(what: str) -> str:
    return f"an {what}" if what == "axis" else f"a {what}"


def _listed(keys: Sequence[str]) -> str:
    return f"{', '.join(f'`{key}`' for key in keys[:-1])} and `{keys[-1]}`"
