"""Events of the YAML parser -> nodes, within limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from orchestrator.definitions.yaml.nodes import ListNode, MapNode, Node, ScalarNode
from orchestrator.errors import DefinitionError, Problem, Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

    from orchestrator.definitions.yaml.document import Document

MAX_DEPTH = 32
MAX_NODES = 100_000
_TOO_LARGE = f"this document exceeds {MAX_DEPTH} levels and {MAX_NODES} values (aliases counted at full size)"
_PARSERS_LIMIT = "maximum nesting depth"
"""The message of a parser with a limit of its own; it reads ahead, so it may stop before `_Composer` counts."""
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def compose(bare: Document) -> tuple[Node | None, list[Problem]]:
    """The tree of a text and the faults that did not prevent it; raises `DefinitionError` for those that do."""
    composer = _Composer(bare)
    try:
        root = composer.document()
    except yaml.MarkedYAMLError as error:
        raise DefinitionError([*composer.problems, _syntax(bare, error)]) from None
    except yaml.YAMLError as error:
        raise DefinitionError([bare.problem("yaml-syntax", f"not YAML: {error}", Span.at(bare.path))]) from None
    return root, composer.problems


class _Composer:
    """Takes the events in order; in `anchors` is None what has not ended."""

    def __init__(self, bare: Document) -> None:
        self.bare = bare
        self.events: Iterator[Any] = yaml.parse(bare.text, Loader=_LOADER)
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node | None] = {}
        self.nodes = 0

    def document(self) -> Node | None:
        """The tree of the only document; None where there is none."""
        root: Node | None = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.NodeEvent):
                root = self._value(event, 0)
            elif isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    hint = "one file holds one definition"
                    self._stop("yaml-syntax", "a second document begins here", Node(*_range(event)), hint)
        return root

    def _value(self, event: Any, depth: int) -> Node:
        """What begins with an event, up to its end; never deeper than `MAX_DEPTH`."""
        node: Node
        match event:
            case yaml.AliasEvent():
                return self._repeated(event, depth)
            case yaml.ScalarEvent():
                null = event.implicit[0] and event.value in _NULLS
                node = ScalarNode(*_range(event), event.value, null)
            case yaml.MappingStartEvent():
                node = MapNode(*_range(event))
            case _:
                node = ListNode(*_range(event))
        self._count(1, depth, node)
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            message = f"the tag `{event.tag[:60]}` is not used here"
            self._note("yaml-tag", message, node, "write the value without a tag")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self._fill(node, depth + 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _fill(self, node: Node, depth: int) -> None:
        """Take what a collection holds, and its end."""
        if isinstance(node, ScalarNode):
            return
        while not isinstance(event := next(self.events), yaml.CollectionEndEvent):
            found = self._value(event, depth)
            if isinstance(node, MapNode):
                self._entry(node, found, self._value(next(self.events), depth))
            elif isinstance(node, ListNode):
                node.items.append(found)
                node.grow(found)
        node.end_line, node.end_column = _range(event)[2:]

    def _repeated(self, event: Any, depth: int) -> Node:
        """What an alias stands for."""
        alias = Node(*_range(event))
        if event.anchor not in self.anchors:
            self._stop("yaml-syntax", f"there is no anchor `&{event.anchor}` before this alias", alias)
        node = self.anchors[event.anchor]
        if node is None:
            self._stop("yaml-syntax", f"the alias `*{event.anchor}` stands inside what it repeats", alias)
        self._count(node.size, depth + node.height, alias)
        return node

    def _count(self, values: int, depth: int, node: Node) -> None:
        self.nodes += values
        if self.nodes > MAX_NODES or depth >= MAX_DEPTH:
            self._stop("too-large", _TOO_LARGE, node)

    def _entry(self, parent: MapNode, key: Node, node: Node) -> None:
        if not isinstance(key, ScalarNode):
            self._note("bad-key", "a key must be plain text, not a list or a mapping", key)
        elif key.value == "<<":
            hint = "write the keys out, or give the whole value an anchor and repeat it by an alias"
            self._note("merge-key", "merge keys (`<<`) are not supported", key, hint)
        elif key.value in parent.entries:
            first = parent.entries[key.value][0]
            self._note("duplicate-key", f"duplicate key `{key.value}`", key, f"first given on line {first.line}")
        else:
            parent.entries[key.value] = (key, node)
            parent.grow(node)

    def _note(self, slug: str, message: str, node: Node, hint: str = "") -> None:
        self.problems.append(self.bare.problem(slug, message, node.span(self.bare.path), hint))

    def _stop(self, slug: str, message: str, node: Node, hint: str = "") -> NoReturn:
        self._note(slug, message, node, hint)
        raise DefinitionError(self.problems)


def _range(event: Any) -> tuple[int, int, int, int]:
    start, end = event.start_mark, event.end_mark
    return start.line + 1, start.column + 1, end.line + 1, end.column + 1


_PLAIN = {
    "found a tab character that violates indentation": "a tab is used for indentation",
    "mapping values are not allowed in this context": "a `:` cannot stand here",
    "found character that cannot start any token": "this character cannot begin a value",
    "found unexpected end of stream": "this quote is never closed",
    "did not find expected key": "this line does not fit the indentation of the mapping around it",
    "did not find expected '-' indicator": "this line does not fit the list around it",
    "did not find expected node content": "a value is missing here, or a bracket is not closed",
    "did not find expected ',' or ']'": "this list is not closed by `]`, or a `,` is missing",
    "did not find expected ',' or '}'": "this mapping is not closed by `}`, or a `,` is missing",
    "could not find expected ':'": "a `:` after this key is missing",
}
_HELP = {
    "a tab is used for indentation": "indent with spaces",
    "a `:` cannot stand here": "put the value in quotes if the `:` belongs to it",
    "this character cannot begin a value": "put the value in quotes",
}
_AT_CONTEXT = ("unexpected end of stream", "',' or ']'", "',' or '}'", "find expected ':'")


def _syntax(bare: Document, error: yaml.MarkedYAMLError) -> Problem:
    """The parser's complaint in plain words, at the beginning of what is not closed where that is the cause."""
    raw = str(error.problem or error.context or "not YAML")
    line, column = _position(bare, error, raw)
    span = Span.at(bare.path, line, column)
    if _PARSERS_LIMIT in raw:
        return bare.problem("too-large", _TOO_LARGE, span)
    message = _PLAIN.get(raw, raw)
    text = bare.lines[line - 1] if line <= len(bare.lines) else ""
    if message == _PLAIN["found character that cannot start any token"] and text[column - 1 : column] == "\t":
        message = _PLAIN["found a tab character that violates indentation"]
    return bare.problem("yaml-syntax", message, span, _HELP.get(message, ""))


def _position(bare: Document, error: yaml.MarkedYAMLError, raw: str) -> tuple[int, int]:
    """Line and column of a complaint, never behind the end of the text."""
    mark = error.problem_mark or error.context_mark
    if error.context_mark is not None and any(words in raw for words in _AT_CONTEXT):
        mark = error.context_mark
    if mark is None:
        return 1, 1
    if mark.line + 1 > len(bare.lines) > 0:
        return len(bare.lines), len(bare.lines[-1]) + 1
    return mark.line + 1, mark.column + 1
