"""The nodes of a YAML tree; lines and columns count from 1, ends are exclusive."""

from __future__ import annotations


class Node:
    """A value in a file; `size` counts it and all below, `height` the levels below it."""

    __slots__ = ("column", "end_column", "end_line", "height", "line", "size")

    def __init__(self, place: tuple[int, int, int, int]) -> None:
        self.line, self.column, self.end_line, self.end_column = place
        self.size = 1
        self.height = 0

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


class ScalarNode(Node):
    """A text as it was written; `null` where it is a plain ``null``, ``~`` or nothing at all."""

    __slots__ = ("null", "value")

    def __init__(self, place: tuple[int, int, int, int], value: str, *, null: bool) -> None:
        super().__init__(place)
        self.value = value
        self.null = null

    def plain(self) -> object:
        return None if self.null else self.value


class ListNode(Node):
    """A sequence."""

    __slots__ = ("items",)

    def __init__(self, place: tuple[int, int, int, int]) -> None:
        super().__init__(place)
        self.items: list[Node] = []

    def child(self, item: str | int) -> Node | None:
        if isinstance(item, int) and 0 <= item < len(self.items):
            return self.items[item]
        return None

    def plain(self) -> object:
        return [item.plain() for item in self.items]


class MapNode(Node):
    """A mapping in the order of the text; each entry is its key and its value."""

    __slots__ = ("entries",)

    def __init__(self, place: tuple[int, int, int, int]) -> None:
        super().__init__(place)
        self.entries: dict[str, tuple[ScalarNode, Node]] = {}

    def child(self, item: str | int) -> Node | None:
        entry = self.entries.get(item) if isinstance(item, str) else None
        return entry[1] if entry else None

    def key(self, item: str) -> ScalarNode | None:
        """The key itself, for its place."""
        entry = self.entries.get(item)
        return entry[0] if entry else None

    def plain(self) -> object:
        return {key: value.plain() for key, (_, value) in self.entries.items()}
