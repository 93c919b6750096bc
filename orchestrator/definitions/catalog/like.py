"""A benchmark that is `like` another: that one's fields hold where it says nothing.

It is written out as a tree before it is decoded, so every value keeps its place: in the recipe or in the other one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.definitions.catalog.by_file import is_file
from orchestrator.definitions.variations import merge
from orchestrator.definitions.yaml.nodes import ListNode, MapNode, Node, ScalarNode
from orchestrator.errors import DefinitionError

if TYPE_CHECKING:
    from orchestrator.definitions.catalog.entries import AnyEntry
    from orchestrator.definitions.yaml import Document

_ITS_OWN = frozenset(
    ("kind", "name", "title", "description", "default", "suites", "official", "like", "axes", "parts", "conflicts")
)
"""What a benchmark does not have of the one that it is like: it says what that one is, and how it varies."""
_OF_THE_MODEL = frozenset(("input", "output"))


def base_name(document: Document) -> str | None:
    """The benchmark that a recipe is like; None for one that stands alone. Raises `DefinitionError` for no name."""
    node = document.node(("like",))
    if node is None:
        return None
    if not isinstance(node, ScalarNode) or node.null:
        hint = "e.g. `like: image-fashion`"
        raise DefinitionError([document.fault("bad-value", "`like` is the name of a benchmark", ("like",), hint)])
    return node.value


def laid_over(document: Document, base: AnyEntry) -> Document:
    """The recipe with the fields of ``base`` where it says nothing.

    Of a base with axes its defaults count. Its tensors are left out where the recipe names a file as its model:
    they are called as the base's model calls them.
    """
    root, below = document.root, base.document.root
    if not isinstance(root, MapNode) or not isinstance(below, MapNode):
        return document
    place(below, base.document.path)
    left_out = _ITS_OWN | _OF_THE_MODEL if is_file(document.node(("model",))) else _ITS_OWN
    tree = MapNode(root.line, root.column, root.end_line, root.end_column)
    tree.entries = {key: each for key, each in below.entries.items() if key not in left_out}
    notes = dict.fromkeys(tree.entries, f"like {base.definition.name}")
    merged = merge(tree, root, notes, "", "")
    assert isinstance(merged, MapNode)
    # Its own fields first: what is said of the whole (a key that is missing) is said of this file, not of the base's.
    merged.entries = {**{key: merged.entries[key] for key in root.entries if key in merged.entries}, **merged.entries}
    lines = {**base.document.others, base.document.path: base.document.lines}
    return replace(document, root=merged, notes=notes, others=lines)


def place(root: Node, path: str) -> None:
    """Let every value of a file know that file; those that know another keep it."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        node.path = node.path or path
        if isinstance(node, MapNode):
            for key, value in node.entries.values():
                key.path = key.path or path
                waiting.append(value)
        elif isinstance(node, ListNode):
            waiting += node.items
