"""Events of the YAML parser -> nodes, without recursion and within limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from orchestrator.definitions.yaml.nodes import ListNode, MapNode, Node, ScalarNode
from orchestrator.errors import DefinitionError, Problem, Span

if TYPE_CHECKING:
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
        for event in yaml.parse(bare.text, Loader=_LOADER):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        raise DefinitionError([*composer.problems, _syntax(bare, error)]) from None
    except yaml.YAMLError as error:
        raise DefinitionError([bare.problem("yaml-syntax", f"not YAML: {error}", Span.at(bare.path))]) from None
    return composer.root, composer.problems


class _Composer:
    """Takes events one by one; `open` holds the collections that have not ended, each with its waiting key."""

    def __init__(self, bare: Document) -> None:
        self.bare = bare
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self.open: list[ListNode | MapNode] = []
        self.keys: list[Node | None] = []
        self.anchors: dict[str, Node] = {}
        self.nodes = 0
        self.documents = 0

    def take(self, event: Any) -> None:
        match event:
            case yaml.ScalarEvent():
                null = event.implicit[0] and event.value in _NULLS
                self._finish(self._start(event, ScalarNode(*_range(event), event.value, null)))
            case yaml.MappingStartEvent():
                self._push(event, MapNode(*_range(event)))
            case yaml.SequenceStartEvent():
                self._push(event, ListNode(*_range(event)))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                node = self.open.pop()
                self.keys.pop()
                node.end_line, node.end_column = _range(event)[2:]
                self._finish(node)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    hint = "one file holds one definition"
                    self._stop("yaml-syntax", "a second document begins here", Node(*_range(event)), hint)
            case _:
                pass  # the ends of documents and streams

    def _start(self, event: Any, node: Any) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or len(self.open) >= MAX_DEPTH:
            self._stop("too-large", _TOO_LARGE, node)
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            message = f"the tag `{event.tag[:60]}` is not used here"
            self._note("yaml-tag", message, node, "write the value without a tag")
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _push(self, event: Any, node: ListNode | MapNode) -> None:
        self.open.append(self._start(event, node))
        self.keys.append(None)

    def _alias(self, event: Any) -> None:
        node, alias = self.anchors.get(event.anchor), Node(*_range(event))
        if node is None:
            self._stop("yaml-syntax", f"there is no anchor `&{event.anchor}` before this alias", alias)
        if node in self.open:
            self._stop("yaml-syntax", f"the alias `*{event.anchor}` stands inside what it repeats", alias)
        self.nodes += node.size
        if self.nodes > MAX_NODES or len(self.open) + node.height >= MAX_DEPTH:
            self._stop("too-large", _TOO_LARGE, alias)
        self._finish(node)

    def _finish(self, node: Node) -> None:
        """A value is complete: hang it below the collection that is open."""
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent, ListNode):
            parent.items.append(node)
            parent.grow(node)
        elif self.keys[-1] is None:
            self.keys[-1] = node
        else:
            key, self.keys[-1] = self.keys[-1], None
            self._entry(parent, key, node)

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
