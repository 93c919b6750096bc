"""Templates of an external harness: text with ``{name}`` and ``{a * (b + 1)}`` over a closed set of values; pure.

A harness of somebody else's is data. Its arguments, files and environment are texts with braces; inside
the braces stand names of a closed set, integer arithmetic (``+ - * // %``), ``min(…)``, ``max(…)`` and
nothing else: no calls, no subscripts, no attributes of Python objects. ``{{`` and ``}}`` are braces.
"""

from __future__ import annotations

import ast
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.definitions.yaml.text import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Value = str | int | float
LONGEST_EXPRESSION = 200
_LARGEST = 2**63
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_PIECES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: Mapping[str, Callable[[Sequence[int]], int]] = {"min": min, "max": max}


class TemplateFault(Exception):
    """A template that cannot be read, or names what there is not; ``hint`` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class _Piece:
    """Plain text, or an expression with the text that stood in the braces."""

    text: str
    expression: ast.expr | None = None


def check_template(text: str, known: Callable[[str], bool], names: Sequence[str]) -> None:
    """Raise `TemplateFault` where ``text`` is no template, or uses a name that is not ``known``.

    ``names`` are what a mistaken name could have meant.
    """
    for piece in _pieces(text):
        if piece.expression is None:
            continue
        for name in _names(piece.expression):
            if not known(name):
                raise _unknown(name, names)


def names_in(text: str) -> tuple[str, ...]:
    """The names that a template uses, in order. Raises `TemplateFault` where it is none."""
    found: list[str] = []
    for piece in _pieces(text):
        if piece.expression is not None:
            found += _names(piece.expression)
    return tuple(dict.fromkeys(found))


def fill(text: str, values: Mapping[str, Value]) -> str:
    """``text`` with its expressions replaced by their values.

    Raises `TemplateFault`: no template, an unknown name, arithmetic with what is no whole number, a
    division by zero, a number beyond 64 bits.
    """
    return "".join(_shown(_evaluate(piece, values)) for piece in _pieces(text))


def fill_typed(text: str, values: Mapping[str, Value]) -> Value:
    """As `fill`; a text that is one expression and nothing else keeps the type of its value."""
    pieces = _pieces(text)
    if len(pieces) == 1 and pieces[0].expression is not None:
        return _evaluate(pieces[0], values)
    return fill(text, values)


def _shown(value: Value) -> str:
    """A number as LoadGen and most programs read it: 0.0000001 has no exponent, 5.0 is 5."""
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    return str(value)


def _pieces(text: str) -> tuple[_Piece, ...]:
    return tuple(_split(text))


def _split(text: str) -> Iterator[_Piece]:
    end = 0
    for found in _PIECES.finditer(text):
        if found.start() > end:
            yield _Piece(text[end : found.start()])
        end = found.end()
        if found.group() in {"{{", "}}"}:
            yield _Piece(found.group()[0])
        elif found.group(1) is None:
            raise TemplateFault(
                f"a single `{found.group()}` in `{text[:80]}`", "write {{ or }} for a brace that is meant as one"
            )
        else:
            yield _Piece(found.group(1), _parse(found.group(1)))
    if end < len(text):
        yield _Piece(text[end:])


def _parse(text: str) -> ast.expr:
    if _NAME.fullmatch(text.strip()):  # be a part of it a word of Python's
        first, *rest = text.strip().split(".")
        node: ast.expr = ast.Name(id=first)
        for part in rest:
            node = ast.Attribute(value=node, attr=part)
        return node
    if len(text) > LONGEST_EXPRESSION:
        raise TemplateFault(f"an expression of {len(text)} characters", f"at most {LONGEST_EXPRESSION}")
    try:
        parsed = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _no_expression(text) from None
    _require_allowed(parsed, text)
    return parsed


def _require_allowed(node: ast.expr, text: str) -> None:
    """Names, whole numbers, the five operators, min and max; all else is refused when the template is read."""
    match node:
        case ast.Constant(value=int(number)) if not isinstance(number, bool) and abs(number) < _LARGEST:
            return
        case ast.Name() | ast.Attribute() if _dotted(node):
            return
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _require_allowed(operand, text)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            _require_allowed(left, text)
            _require_allowed(right, text)
        case ast.Call(func=ast.Name(id=name), args=given, keywords=[]) if name in _FUNCTIONS and given:
            for one in given:
                _require_allowed(one, text)
        case _:
            raise _no_expression(text)


def _no_expression(text: str) -> TemplateFault:
    return TemplateFault(
        f"`{{{text[:60]}}}` is no expression",
        "names and whole numbers with + - * // %, min(…) and max(…); {{ and }} for braces",
    )


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` of a chain of names, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def _names(node: ast.expr) -> Iterator[str]:
    name = _dotted(node)
    if name:
        yield name
        return
    # The name of a function is no value.
    below = node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
    for child in below:
        if isinstance(child, ast.expr):
            yield from _names(child)


def _evaluate(piece: _Piece, values: Mapping[str, Value]) -> Value:
    if piece.expression is None:
        return piece.text
    name = _dotted(piece.expression)
    if name:
        return _look_up(name, values)
    return _number(piece.expression, piece.text, values)


def _look_up(name: str, values: Mapping[str, Value]) -> Value:
    if name not in values:
        raise _unknown(name, tuple(values))
    return values[name]


def _number(node: ast.expr, text: str, values: Mapping[str, Value]) -> int:
    """The value of an expression that `_require_allowed` passed."""
    match node:
        case ast.Constant(value=int(number)):
            result = number
        case ast.UnaryOp(operand=operand):
            result = -_number(operand, text, values)
        case ast.BinOp(left=left, op=sign, right=right):
            first, second = _number(left, text, values), _number(right, text, values)
            try:
                result = _OPERATORS[type(sign)](first, second)
            except ZeroDivisionError:
                raise TemplateFault(f"`{{{text}}}` divides by zero") from None
        case ast.Call(func=ast.Name(id=name), args=given):
            result = _FUNCTIONS[name]([_number(one, text, values) for one in given])
        case _:
            result = _whole(_dotted(node), text, values)
    if abs(result) >= _LARGEST:
        raise TemplateFault(f"`{{{text}}}` is beyond 64 bits")
    return result


def _whole(name: str, text: str, values: Mapping[str, Value]) -> int:
    value = _look_up(name, values)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            raise TemplateFault(f"`{name}` in `{{{text}}}` is `{value[:40]}`, which is no whole number") from None
    if isinstance(value, float) and not value.is_integer():
        raise TemplateFault(f"`{name}` in `{{{text}}}` is {value}, which is no whole number")
    return int(value)


def _unknown(name: str, names: Sequence[str]) -> TemplateFault:
    return TemplateFault(f"there is no value `{name[:60]}`", suggestion(name, names))
