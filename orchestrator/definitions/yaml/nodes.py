"""The nodes of a YAML tree; lines and columns count from 1, ends are exclusive."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.errors import Span


@dataclass(slots=True, eq=False)
class Node:
    """A value in a file; `size` counts it and all below, `height` the levels below it."""

    line: int
    column: int
    end_line: int
    end_column: int
    size: int = field(default=1, init=False)
    height: int = field(default=0, init=False)
    path: str = field(default="", init=False)
    """The file that it stands in, where a tree has values of several."""

    def span(self, path: str) -> Span:
        """Where it stands: in the file of this path, unless it knows its own."""
        return Span(
            path=self.path or path,
            line=self.line,
            column=self.column,
            end_line=self.end_line,
            end_column=self.end_column,
        )

    def child(self, item: str | int) -> Node | None:  # noqa: ARG002 (the scalar's answer)
        """The value below, by key or by index from 0; None where there is none."""
        return None

    def plain(self) -> object:
        """The value without positions."""
        raise NotImplementedError

    def grow(self, child: Node) -> None:
        """Account for a finished child."""
        self.size += child.size
        self.height = max(self.height, child.height + 1)


@dataclass(slots=True, eq=False)
class ScalarNode(Node):
    """A text as it was written; `null` where it is a plain ``null``, ``~`` or nothing at all."""

    value: str
    null: bool

    def plain(self) -> object:
        return None if self.null else self.value


@dataclass(slots=True, eq=False)
class ListNode(Node):
    """A sequence."""

    items: list[Node] = field(default_factory=list)

    def child(self, item: str | int) -> Node | None:
        if isinstance(item, int) and 0 <= item < len(self.items):
            return self.items[item]
        return None

    def plain(self) -> object:
        return [item.plain() for item in self.items]


@dataclass(slots=True, eq=False)
class MapNode(Node):
    """A mapping in the order of the text; each entry is its key and its value."""

    entries: dict[str, tuple[ScalarNode, Node]] = field(default_factory=dict)

    def child(self, item: str | int) -> Node | None:
        entry = self.entries.get(item) if isinstance(item, str) else None
        return entry[1] if entry else None

    def plain(self) -> object:
        return {key: value.plain() for key, (_, value) in self.entries.items()}
