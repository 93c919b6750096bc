"""The environment that templates run in: a sandbox in which they can neither fill the memory, nor run for ever, nor
write what differs from run to run.

A recipe repository brings templates of its own, so a template is input. It is compiled with its loops and joined texts
counted, has the filters and methods of two lists, and prints texts and numbers only: anything else would be printed
with its address in memory. What a render may use is one `Budget`. Whatever goes through a text or a list (a method, a
filter, a test, a comparison) is charged by what it reads as well as by what it gives: `count` gives one number.
"""

from __future__ import annotations

import functools
from collections.abc import ItemsView, KeysView, ValuesView
from types import BuiltinMethodType
from typing import TYPE_CHECKING, Any, cast

from jinja2 import TemplateSyntaxError, Undefined, nodes, pass_context  # noqa: TID253 (who imports this module renders)
from jinja2.exceptions import SecurityError  # noqa: TID253
from jinja2.runtime import BlockReference, LoopContext, Macro  # noqa: TID253
from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: TID253
from jinja2.utils import Namespace  # noqa: TID253
from jinja2.visitor import NodeTransformer  # noqa: TID253

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MOST_STEPS = 1_000_000
"""Turns of loops, calls and filters of one render: some seconds. The largest template that ships takes thousands."""
MOST_BYTES = 64 << 20
"""Characters that one render may handle altogether."""
LONGEST = 1 << 20
"""Characters of a text, entries of a list, and characters of the result."""

_FILTERS = frozenset(
    {
        "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "groupby", "int", "items", "join",
        "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "select",
        "selectattr", "sort", "string", "title", "trim", "truncate", "unique", "upper",
    }
)  # fmt: skip
_BY_BOTH = frozenset({"lstrip", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "strip", "trim"})
"""Those that may look at each character of a text once for each of what they look for."""
_LARGEST = 1 << 62
"""Of a whole number: more digits are slow to divide."""
_OF_TEXT = frozenset({"capitalize", "lower", "replace", "string", "title", "trim", "truncate", "upper"})
"""Those that make a text of whatever they are given."""
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        {
            "capitalize", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdigit", "islower", "isupper",
            "join", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex",
            "rpartition", "rsplit", "rstrip", "split", "startswith", "strip", "title", "upper",
        }
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"count", "index"}),
    tuple: frozenset({"count", "index"}),
    LoopContext: frozenset({"changed", "cycle"}),
}  # fmt: skip


class Budget:
    """What one render may still use."""

    def __init__(self) -> None:
        self.steps, self.bytes = MOST_STEPS, MOST_BYTES

    def spend(self, steps: int, size: int = 0) -> None:
        """Raises `SecurityError` when nothing is left."""
        self.steps -= steps
        self.bytes -= size
        if self.steps < 0:
            raise SecurityError(f"the template does more than {MOST_STEPS:,} steps")
        if self.bytes < 0:
            raise SecurityError(f"the template handles more than {MOST_BYTES >> 20} MiB of text")


class Bounded(ImmutableSandboxedEnvironment):
    """Jinja's immutable sandbox with a budget; ``**`` and ``%`` of texts and ``*`` of anything but numbers are out."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(finalize=self._written, **options)
        self.budget = Budget()
        self.text_size = 0
        """Characters of all templates that were loaded: no call or include writes more of its own text."""
        self.globals = {"range": self._range, "dict": dict, "namespace": Namespace}
        given = {name: self.filters[name] for name in _FILTERS}
        self.filters = {}
        self.add_filters(given)
        self.filters |= {"_items": self._items, "_text": self._text, "_read": self._read, "_scalar": _scalar}
        self.tests = {name: self._charged(one) for name, one in dict[str, Any](self.tests).items()}

    def add_filters(self, filters: dict[str, Callable[..., Any]]) -> None:
        """Filters, each with its result counted."""
        self.filters |= {name: self._counted(name, one) for name, one in filters.items()}

    # -- what is compiled ----------------------------------------------------------------

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            if loop.recursive:
                raise TemplateSyntaxError("loops do not call themselves", loop.lineno, name, filename)
            size = sum(len(text.data) for text in loop.find_all(nodes.TemplateData))
            loop.iter = _filtered(cast("nodes.Expr", loop.iter), "_items", nodes.Const(size))
        for output in list(tree.find_all(nodes.Concat)):
            output.nodes = [_filtered(node, "_scalar") for node in output.nodes]
        for number in tree.find_all(nodes.Const):
            if isinstance(number.value, int) and number.value > _LARGEST:
                raise TemplateSyntaxError("a number is larger than 2^62", number.lineno, name, filename)
        return cast("nodes.Template", _Counting().visit(tree))

    # -- what is run ---------------------------------------------------------------------

    def call_binop(self, _context: object, operator: str, left: Any, right: Any) -> Any:
        """One of `intercepted_binops`."""
        small = isinstance(left, int) and isinstance(right, int) and abs(left) < 1 << 31 > abs(right)
        if operator == "+" and not small:
            return self._sum(left, right)
        if operator == "**" or not small:
            raise SecurityError(f"`{operator}` is for whole numbers below 2^31")
        return self.binop_table[operator](left, right)

    def _sum(self, left: Any, right: Any) -> Any:
        for kind in (str, list, tuple):
            if isinstance(left, kind) and isinstance(right, kind):
                return self._sized(cast("Any", left) + cast("Any", right))
        if isinstance(left, (int, float)) and isinstance(right, (int, float)) and abs(left) + abs(right) < 1 << 62:
            return left + right
        raise SecurityError("`+` is for numbers, and for two texts or two lists")

    def call(self, context: Any, called: Any, *args: Any, **named: Any) -> Any:
        """A macro, a block, or a method that is listed."""
        self.budget.spend(1)
        if isinstance(called, (Macro, BlockReference)):
            self.budget.spend(1, self.text_size)
        elif called not in self.globals.values():
            _require_listed(called)
            self._require_bounded(called, args)
            self._charge_method(called, args)
        return self._sized(super().call(context, called, *args, **named))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format` pads to any width."""
        if isinstance(value, BuiltinMethodType) and value.__name__ in {"format", "format_map"}:
            raise SecurityError("texts are not formatted in a template; join them with `~`")
        return None

    def _require_bounded(self, called: Any, args: tuple[Any, ...]) -> None:
        """Before methods whose results may be far longer than what they are given."""
        owner = getattr(called, "__self__", None)
        if isinstance(owner, str) and called.__name__ == "join":
            self._joined_size(args[0] if args else (), owner)
        if isinstance(owner, str) and called.__name__ == "replace":
            _require_short_replacement(owner, *args)

    # -- counting ------------------------------------------------------------------------

    def _charge(self, *values: Any) -> None:
        """Take what it costs to go through these values: a text's characters, a list's entries and what is in them."""
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            if isinstance(value, str):
                self.budget.spend(0, len(value))
            elif isinstance(value, (list, tuple, set, frozenset)):
                self.budget.spend(1 + len(value))
                waiting += [each for each in value if isinstance(each, (str, list, tuple, dict))]
            elif isinstance(value, dict):
                self.budget.spend(1 + len(value))
                waiting += [*value, *value.values()]
            elif isinstance(value, (range, KeysView, ValuesView, ItemsView)):
                self.budget.spend(1 + len(value))

    def _charge_method(self, called: Any, args: tuple[Any, ...]) -> None:
        owner = getattr(called, "__self__", None)
        if isinstance(owner, (str, list, tuple)):
            self._charge(owner, *args)
        if isinstance(owner, str):
            self._charge_by_both(called.__name__, owner, args)

    def _charge_by_both(self, name: str, text: Any, args: tuple[Any, ...]) -> None:
        if name in _BY_BOTH and args and isinstance(args[0], str):
            self.budget.spend(0, len(str(text)) * len(args[0]))

    def _charged(self, test: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(test)
        def charged(*args: Any, **named: Any) -> Any:
            self.budget.spend(1)
            self._charge(*args, *named.values())
            return test(*args, **named)

        return charged

    def _sized(self, value: Any) -> Any:
        """``value``, with its size counted."""
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise SecurityError("a number of the template is larger than 2^62")
        if isinstance(value, (str, list, tuple, dict)):
            if len(value) > LONGEST:
                raise SecurityError(f"a text or list of the template is longer than {LONGEST:,}")
            self.budget.spend(0, len(value))
        return value

    def _counted(self, name: str, one: Callable[..., Any]) -> Callable[..., Any]:
        given = int(hasattr(one, "jinja_pass_arg"))

        @functools.wraps(one)
        def counted(*args: Any, **named: Any) -> Any:
            self.budget.spend(1)
            self._charge(*args[given:], *named.values())
            self._charge_by_both(name, args[given], (*args[given + 1 :], *named.values()))
            if name in _OF_TEXT:
                _scalar(args[given])
            if name == "join":
                if named.get("attribute") or len(args) > given + 2:
                    raise SecurityError("join has no attribute here: write `map(attribute=…) | join`")
                args = (*args[:given], list(self._items(args[given])), *args[given + 1 :])
                self._joined_size(args[given], *args[given + 1 :], **named)
            if name == "replace":
                _require_short_replacement(*args[given:], **named)
            found = one(*args, **named)
            return self._items(found) if hasattr(found, "__next__") else self._sized(found)

        return counted

    def _joined_size(self, parts: Iterable[Any], d: str = "") -> None:
        total = 0
        for part in parts:
            total += len(str(_scalar(part))) + len(d)
            if total > LONGEST:
                raise SecurityError(f"a joined text is longer than {LONGEST:,}")
        self.budget.spend(0, total)

    def _items(self, found: Iterable[Any], size: int = 0) -> Iterator[Any]:
        """The entries of what a loop goes through; each turn writes ``size`` characters of the template's own."""
        for item in found:
            self.budget.spend(1, size)
            self._charge(item)
            yield item

    def _range(self, *bounds: int) -> range:
        found = range(*bounds)
        if max(abs(found.start), abs(found.stop), abs(found.step)) > 1 << 31 or len(found) > MOST_STEPS:
            raise SecurityError(f"a range is longer than {MOST_STEPS:,}")
        self.budget.spend(len(found))
        return found

    def _text(self, value: Any) -> Any:
        return self._sized(value)

    @pass_context  # so that it is asked each time, of a constant too
    def _read(self, _context: object, value: Any) -> Any:
        """``value``, which is compared or looked through."""
        self._charge(value)
        return value

    def _written(self, value: Any) -> Any:
        """What `{{ }}` writes."""
        self.budget.spend(1)
        return self._sized(_scalar(value))


def _filtered(node: nodes.Expr, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


class _Counting(NodeTransformer):
    """Has joined texts (`a ~ b`) and slices counted where they are made, and what is compared where it is read."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 (so the library calls it)
        return _filtered(cast("nodes.Concat", self.generic_visit(node)), "_text")

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(node, "_text") if isinstance(node.arg, nodes.Slice) else node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filtered(node.expr, "_read")
        for operand in node.ops:
            operand.expr = _filtered(operand.expr, "_read")
        return node


def _scalar(value: Any) -> Any:
    """``value``, a text or a number: anything else would be written with its address in memory."""
    if isinstance(value, (str, int, float, Undefined)):
        return value
    raise TypeError(f"only texts and numbers can be written, and this is a {type(value).__name__}")


def _require_listed(called: Any) -> None:
    owner, name = getattr(called, "__self__", None), getattr(called, "__name__", "")
    for kind, names in _METHODS.items():
        if isinstance(owner, kind) and name in names:
            return
    raise SecurityError(f"a template cannot call `{name or type(called).__name__}`")


def _require_short_replacement(text: Any, old: Any = "", new: Any = "", *_count: Any, **_named: Any) -> None:
    if len(str(new)) * (len(str(text)) // max(1, len(str(old))) + 1) > LONGEST:
        raise SecurityError(f"a replaced text is longer than {LONGEST:,}")
