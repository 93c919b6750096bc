"""A YAML text as a tree of nodes with positions; every scalar stays the text that was written.

The tree is composed from the parser's events and not by ``yaml.compose``, which
recurses in C and can be made to overflow the stack. One kind of fault stops the
reading (no tree can be had); the others are kept in `Document.problems`, so that
`decode` can report them together with what it finds itself.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.given_files import read_given
from orchestrator.definitions.yaml.nodes import ListNode, MapNode, Node, ScalarNode
from orchestrator.errors import DefinitionError, Problem, Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    notes: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of a tree that was written out: a dotted path to what brought the value there; empty for the file itself."""
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """The lines of other files that values of the tree stand in."""

    @property
    def says_nothing(self) -> bool:
        """Whether there are only comments, blanks and markers in it, or a null."""
        return not self.problems and (self.root is None or (isinstance(self.root, ScalarNode) and self.root.null))

    def node(self, loc: Sequence[str | int]) -> Node | None:
        """The node at a location such as ``("sources", 0, "suite")``."""
        node = self.root
        for item in loc:
            node = node.child(item) if node is not None else None
        return node

    def span(self, loc: Sequence[str | int], *, key: bool = False) -> Span:
        """Where a value (or its key) stands; the nearest thing above it where it does not exist."""
        node, key_node = self.root, None
        for item in loc:
            child = node.child(item) if node is not None else None
            if child is None:
                return self._head(node, key_node)
            key_node = node.entries[item][0] if isinstance(node, MapNode) and isinstance(item, str) else None
            node = child
        return self._head(node, key_node) if key or node is None else node.span(self.path)

    def find(self, value: str) -> Span:
        """Where a text is written as a value; the head of the file where it is not."""
        waiting = [self.root] if self.root is not None else []
        while waiting:
            node = waiting.pop()
            if isinstance(node, ScalarNode) and node.value == value:
                return node.span(self.path)
            if isinstance(node, ListNode):
                waiting += reversed(node.items)
            elif isinstance(node, MapNode):
                waiting += [entry[1] for entry in reversed(node.entries.values())]
        return self.span((), key=True)

    def _head(self, node: Node | None, key_node: ScalarNode | None) -> Span:
        """The least that names a thing: its key, or the first key of a mapping in a list."""
        if key_node is not None:
            return key_node.span(self.path)
        if isinstance(node, MapNode) and node.entries:
            return next(iter(node.entries.values()))[0].span(self.path)
        return node.span(self.path) if node is not None else Span.at(self.path)

    def problem(self, slug: str, message: str, span: Span, hint: str = "") -> Problem:
        """A fault of this document with the line that it stands on."""
        lines = self.lines if span.path == self.path else self.others.get(span.path, ())
        line = lines[span.line - 1] if span.line <= len(lines) else ""
        return Problem(slug=slug, message=message, span=span, hint=hint, source_line=line)

    def fault(self, slug: str, message: str, loc: Sequence[str | int] = (), hint: str = "") -> Problem:
        """A fault at the value of a location."""
        return self.problem(slug, message, self.span(loc), hint)


def read_document(path: Path | str, text: str | None = None) -> Document:
    """Read one file (or the given text as if it stood there).

    Raises `DefinitionError` where no tree can be had: unreadable, not UTF-8, too
    large, not YAML, several documents, nested too deeply.
    """
    name = str(path)
    data = _read_bytes(Path(path)) if text is None else text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_BYTES:
        raise DefinitionError.fault(
            "too-large", f"this file is larger than {MAX_BYTES // 1024} KiB", span=Span.at(name)
        )
    if text is None:
        text = _decode_utf8(name, data)
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
    return replace(bare, root=root, problems=tuple(problems), sha256=hashlib.sha256(data).hexdigest())


def to_plain(document: Document) -> object:
    """Dicts, lists, text and None (a plain null); raises `DefinitionError` for a duplicate key and the like."""
    if document.problems:
        raise DefinitionError(document.problems)
    return document.root.plain() if document.root is not None else None


def _read_bytes(path: Path) -> bytes:
    try:
        return read_given(path, MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        message = f"cannot read this file: {reason}"
        raise DefinitionError.fault("unreadable", message, span=Span.at(str(path))) from None


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
    """Where one character stands, lines counted as YAML counts them."""
    until = f"{text[:index]}?".splitlines()
    return Span.at(name, len(until), len(until[-1]))
