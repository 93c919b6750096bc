"""A YAML text as a tree of nodes with positions; every scalar stays the text that was written.

The tree is composed from the parser's events and not by ``yaml.compose``, which
recurses in C and can be made to overflow the stack. One kind of fault stops the
reading (no tree can be had); the others are kept in `Document.problems`, so that
`decode` can report them together with what it finds itself.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.yaml.nodes import ListNode, MapNode, Node, ScalarNode
from orchestrator.errors import DefinitionError, Problem, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BYTES = 1024 * 1024
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its text, its tree (None where the file is empty) and the faults that left a tree."""

    path: str
    text: str
    root: Node | None
    problems: tuple[Problem, ...] = ()
    lines: tuple[str, ...] = field(default=(), repr=False)
    sha256: str = ""
    """Of the file's bytes."""

    def node(self, loc: Sequence[str | int]) -> Node | None:
        """The node at a location such as ``("sources", 0, "suite")``."""
        node = self.root
        for item in loc:
            node = node.child(item) if node is not None else None
        return node

    def span(self, loc: Sequence[str | int], *, key: bool = False) -> Span:
        """The place of a value (or of its key); of the nearest thing above it where it does not exist."""
        node, key_node = self.root, None
        for item in loc:
            child = node.child(item) if node is not None else None
            if child is None:
                return self.head_span(node, key_node)
            key_node = node.key(item) if isinstance(node, MapNode) and isinstance(item, str) else None
            node = child
        if key:
            return self.head_span(node, key_node)
        return self.node_span(node) if node is not None else Span(path=self.path, **_FIRST)

    def find(self, value: str) -> Span:
        """Where a text is written as a value; the head of the file where it is not."""
        waiting = [self.root] if self.root is not None else []
        while waiting:
            node = waiting.pop()
            if isinstance(node, ScalarNode) and node.value == value:
                return self.node_span(node)
            if isinstance(node, ListNode):
                waiting += reversed(node.items)
            elif isinstance(node, MapNode):
                waiting += [entry[1] for entry in reversed(node.entries.values())]
        return self.span((), key=True)

    def head_span(self, node: Node | None, key_node: ScalarNode | None) -> Span:
        """The least that names a thing: its key, or the first key of a mapping in a list."""
        if key_node is not None:
            return self.node_span(key_node)
        if isinstance(node, MapNode) and node.entries:
            return self.node_span(next(iter(node.entries.values()))[0])
        return self.node_span(node) if node is not None else Span(path=self.path, **_FIRST)

    def node_span(self, node: Node) -> Span:
        """Where a node stands."""
        return Span(
            path=self.path,
            line=node.line,
            column=node.column,
            end_line=node.end_line,
            end_column=node.end_column,
        )

    def problem(self, slug: str, message: str, span: Span, hint: str = "") -> Problem:
        """A fault of this document with the line that it stands on."""
        line = self.lines[span.line - 1] if span.line <= len(self.lines) else ""
        return Problem(slug=slug, message=message, span=span, hint=hint, source_line=line)

    def fault(self, slug: str, message: str, loc: Sequence[str | int] = (), hint: str = "") -> Problem:
        """A fault at the value of a location."""
        return self.problem(slug, message, self.span(loc), hint)


_FIRST = {"line": 1, "column": 1, "end_line": 1, "end_column": 2}


def read_document(path: Path | str, text: str | None = None) -> Document:
    """Read one file (or the given text as if it stood there).

    Raises `DefinitionError` where no tree can be had: unreadable, not UTF-8, too
    large, not YAML, several documents, nested too deeply.
    """
    name = str(path)
    data = b""
    if text is None:
        data = _read_bytes(Path(path))
        text = _decode_utf8(name, data)
    elif len(text) > MAX_BYTES:
        raise _whole(name, "too-large", f"this file is larger than {MAX_BYTES // 1024} KiB")
    text = text.removeprefix("\ufeff")
    bare = Document(path=name, text=text, root=None, lines=tuple(text.splitlines()))
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        span = _span_at(name, text, bad.start())
        message = f"the character U+{ord(bad.group()):04X} is not allowed in YAML"
        raise DefinitionError(
            [bare.problem("yaml-syntax", message, span, 'remove it, or write it as an escape in "…"')]
        )
    from orchestrator.definitions.yaml.compose import compose

    root, problems = compose(bare)
    digest = hashlib.sha256(data or text.encode()).hexdigest()
    return Document(path=name, text=text, root=root, problems=tuple(problems), lines=bare.lines, sha256=digest)


def to_plain(document: Document) -> object:
    """Dicts, lists, text and None (a plain null); raises `DefinitionError` for a duplicate key and the like."""
    if document.problems:
        raise DefinitionError(document.problems)
    return document.root.plain() if document.root is not None else None


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise _whole(str(path), "unreadable", f"cannot read this file: {reason}") from None
    if len(data) > MAX_BYTES:
        raise _whole(str(path), "too-large", f"this file is larger than {MAX_BYTES // 1024} KiB")
    return data


def _decode_utf8(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        after = data[error.start :].split(b"\n", 1)[0].decode("utf-8", "replace")
        span = _span_at(name, before + "?", len(before))
        line = before.rpartition("\n")[2] + after
        message = f"this file is not UTF-8: byte 0x{data[error.start]:02x} cannot stand here"
        problem = Problem(slug="not-utf8", message=message, span=span, hint="save the file as UTF-8", source_line=line)
        raise DefinitionError([problem]) from None


def _span_at(name: str, text: str, index: int) -> Span:
    """The place of one character, lines counted as YAML counts them."""
    before = text[:index].splitlines() or [""]
    if text[:index].endswith(("\n", "\r", "\x85", "\u2028", "\u2029")):
        before.append("")
    line, column = len(before), len(before[-1]) + 1
    return Span(path=name, line=line, column=column, end_line=line, end_column=column + 1)


def _whole(name: str, slug: str, message: str) -> DefinitionError:
    return DefinitionError([Problem(slug=slug, message=message, span=Span(path=name, **_FIRST))])


__all__ = ["Document", "ListNode", "MapNode", "Node", "ScalarNode", "read_document", "to_plain"]
