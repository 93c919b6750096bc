"""The errors that the package can make, read from its source: their slugs, exit codes and messages.

A message may be a plain string, one with values in it (each is shown as `…`), a sum or a choice of strings, a name
that a function or module gives a string, or what a function is handed by those that call it.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator import errors
from orchestrator.errors import BUG_EXIT_CODE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    Function = ast.FunctionDef | None

SLUG = re.compile("[a-z][a-z0-9…-]+")
CLASSES = {name: value for name, value in vars(errors).items() if hasattr(value, "exit_code")}
CONVENTIONS = {"fault", "problem", "_note", "_stop", "_fault"}
"""Methods that take a slug and a message first, and make a fault of a definition."""
VALUE = "…"
MOST = 12
"""Texts that one expression may stand for."""
DEEP = 3
"""Calls, one inside the other, that a text is followed through."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module: the strings and functions that it has a name for, what it imports of the package, and its calls."""

    name: str
    strings: dict[str, ast.expr] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    imported: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[Place, ast.Call]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands: in a function of a module, or outside of all, and what counts is above a line."""

    module: Module
    function: Function
    line: int = 0


class Source:
    """The modules of a package, and who calls which function with what."""

    def __init__(self, package: Path) -> None:
        self.modules = [read_module(path, package) for path in sorted(package.rglob("*.py"))]
        self.by_name = {module.name: module for module in self.modules}
        self.every_call = [found for module in self.modules for found in module.calls]
        self.by_callee: dict[str, list[tuple[Place, ast.Call]]] = defaultdict(list)
        for place, call in self.every_call:
            self.by_callee[called(call)].append((place, call))

    # -- texts ---------------------------------------------------------------------------

    def texts(self, node: ast.expr | None, at: Place, deep: int = 0) -> tuple[str, ...]:
        """The strings that an expression may be; none where nothing says so.

        With ``deep`` what a function is handed is looked up where it is called.
        """
        found: Iterable[str] = ()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = (node.value,)
        elif isinstance(node, ast.JoinedStr):
            found = self._joined([self.texts(part, at, deep) or (VALUE,) for part in node.values])
        elif isinstance(node, ast.FormattedValue):
            found = self.texts(node.value, at, deep)
            found = () if VALUE in found else found
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            found = self._joined([self.texts(part, at, deep) or (VALUE,) for part in (node.left, node.right)])
        elif isinstance(node, ast.IfExp):
            found = self._either([node.body, node.orelse], at, deep)
        elif isinstance(node, ast.BoolOp):
            found = self._either(node.values, at, deep)
        elif isinstance(node, ast.Name):
            found = self._named(node.id, at, deep)
        elif isinstance(node, ast.Call) and deep:
            found = self._returned(node, at)
        return tuple(dict.fromkeys(found))[:MOST]

    def _either(self, nodes: list[ast.expr], at: Place, deep: int) -> tuple[str, ...]:
        """What one of several expressions may be, `VALUE` for those that nothing is known of; none without a string."""
        each = [self.texts(node, at, deep) for node in nodes]
        return tuple(text for texts in each for text in texts or (VALUE,)) if any(each) else ()

    def _joined(self, parts: list[tuple[str, ...]]) -> Iterator[str]:
        return ("".join(each) for each in itertools.islice(itertools.product(*parts), MOST))

    def _named(self, name: str, at: Place, deep: int) -> tuple[str, ...]:
        """What a name stands for: of the function, what it is handed, or of the module."""
        if at.function is not None:
            given = reaching(at.function.body, name, at.line)
            if given:
                each = [self.texts(value, replace(at, line=value.lineno), deep) for value in given]
                return tuple(text for texts in each for text in texts or (VALUE,)) if any(each) else ()
            if name in parameters(at.function):
                return self._handed(at, name, deep) if deep else ()
        found = self.definition(at.module, name)
        return self.texts(found[1].strings.get(found[0]), Place(found[1], None)) if found else ()

    def _handed(self, at: Place, name: str, deep: int) -> tuple[str, ...]:
        """What those that call a function give for a parameter."""
        return tuple(
            text for caller, call in self.callers(at) for text in self.texts(argument(call, at, name), caller, deep - 1)
        )

    def _returned(self, call: ast.Call, at: Place) -> tuple[str, ...]:
        """What a function of the package gives back."""
        found = self.definition(at.module, called(call))
        function = found[1].functions.get(found[0]) if found else None
        if function is None:
            return ()
        values = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
        each = [self.texts(value, Place(found[1], function, value.lineno)) for value in values if value is not None]
        return tuple(text for texts in each for text in texts or (VALUE,)) if any(each) else ()

    # -- names ---------------------------------------------------------------------------

    def definition(self, module: Module, name: str) -> tuple[str, Module] | None:
        """The name of something, and the module where it is made; None for what is not of the package."""
        if name in module.functions or name in module.strings:
            return name, module
        home, _, name = module.imported.get(name, "").rpartition(".")
        return (name, self.by_name[home]) if home in self.by_name else None

    def callers(self, at: Place) -> Iterator[tuple[Place, ast.Call]]:
        """The calls of a function: in its module, and by its name where that is imported."""
        name = function_of(at).name
        for caller, call in self.by_callee[name]:
            home = f"{at.module.name}.{name}"
            by_module = isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)
            through = caller.module.imported.get(call.func.value.id) if by_module else ""  # type: ignore[attr-defined]
            if caller.module is at.module or caller.module.imported.get(name) == home or through == at.module.name:
                yield caller, call


# -- reading a module ------------------------------------------------------------------------


def dotted(path: Path, package: Path) -> str:
    """The name of a module by its file."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_module(path: Path, package: Path) -> Module:
    """What a module has names for, and the calls inside its functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = Module(dotted(path, package))
    for statement in tree.body:
        module.strings.update(assigned(statement))
        outer = statement.body if isinstance(statement, ast.ClassDef) else [statement]
        for each in outer:
            read_part(each, module)
    return module


def read_part(part: ast.stmt, module: Module) -> None:
    """Note what stands in a function, or in a statement outside of all."""
    for node in ast.walk(part):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("orchestrator"):
            module.imported.update({each.asname or each.name: f"{node.module}.{each.name}" for each in node.names})
        elif isinstance(node, ast.FunctionDef):
            module.functions.setdefault(node.name, node)
        elif isinstance(node, ast.Call) and isinstance(part, ast.FunctionDef):
            module.calls.append((Place(module, part, node.lineno), node))


def assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """The names that a statement gives a value; `a, b = "x", "y"` has two."""
    for target in node.targets if isinstance(node, ast.Assign) else ():
        value = node.value  # type: ignore[attr-defined]
        several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
        for each, one in zip(target.elts, value.elts, strict=False) if several else [(target, value)]:
            if isinstance(each, ast.Name):
                yield each.id, one


def reaching(block: list[ast.stmt], name: str, line: int, before: tuple[ast.expr, ...] = ()) -> tuple[ast.expr, ...]:
    """The values that a name may have at a line; ``before`` are those that it may have where the block begins."""
    found = before
    for node in block:
        if node.lineno >= line:
            break
        given = tuple(value for target, value in assigned(node) if target == name)
        if given:
            found = given
            continue
        inner = blocks(node)
        for each in inner:
            if each[0].lineno <= line <= (each[-1].end_lineno or 0):
                return reaching(each, name, line, found)
        if isinstance(node, ast.FunctionDef):
            continue
        ends = [reaching(each, name, line, found) for each in inner if not isinstance(each[-1], LEAVES)]
        always = isinstance(node, ast.With) or (isinstance(node, ast.If) and node.orelse)
        found = tuple(dict.fromkeys([*([] if always else found), *(value for end in ends for value in end)]))
    return found


LEAVES = (ast.Raise, ast.Return, ast.Continue, ast.Break)
"""What ends a block so that nothing behind it hears of its values."""


def blocks(node: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks of statements inside one."""
    parts = [node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())]
    found = [getattr(part, name, ()) for part in parts for name in ("body", "orelse", "finalbody")]
    return [block for block in found if block]


def function_of(at: Place) -> ast.FunctionDef:
    """The function of a place that is inside one."""
    assert at.function is not None
    return at.function


def called(call: ast.Call) -> str:
    """The last part of what a call calls."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def parameters(function: ast.FunctionDef) -> list[str]:
    """The names of what a function takes, those by keyword last."""
    given = function.args
    return [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]


def argument(call: ast.Call, at: Place, name: str) -> ast.expr | None:
    """What a call gives for a parameter of the function at a place; what the parameter is without it else."""
    function = function_of(at)
    for word in call.keywords:
        if word.arg == name:
            return word.value
    names = parameters(function)
    bound = isinstance(call.func, ast.Attribute) and names[:1] in (["self"], ["cls"])
    position = names.index(name) - bound
    if position < len(call.args):
        return call.args[position]
    return default(function, name)


def default(function: ast.FunctionDef, name: str) -> ast.expr | None:
    """What a parameter is where nobody gives it; None where it has to be given."""
    given = function.args
    plain = [*given.posonlyargs, *given.args]
    values = {
        **{each.arg: value for each, value in zip(reversed(plain), reversed(given.defaults), strict=False)},
        **{each.arg: value for each, value in zip(given.kwonlyargs, given.kw_defaults, strict=True)},
    }
    return values.get(name)


# -- the errors ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RaisedError:
    """An error that the package can make."""

    slug: str
    code: int
    message: str
    """Empty where it says nothing of its own, but what a library or the system said."""
    about: str
    """What the function that makes it says about itself."""


def raised(package: Path) -> Iterator[RaisedError]:
    """Every error that a package can make, in the order of its files."""
    source = Source(package)
    for place, call in source.every_call:
        made = made_by(call, source, place)
        if made is None:
            continue
        codes, slug, message = made
        about = (ast.get_docstring(place.function) or "" if place.function else "").partition("\n\n")[0]
        for name, text in one_error(source, place, slug, message):
            for code in codes:
                yield RaisedError(name, BUG_EXIT_CODE if name == "bug" else code, text.replace(VALUE * 2, VALUE), about)


Made = tuple[tuple[int, ...], ast.expr, ast.expr | None]


def made_by(call: ast.Call, source: Source, at: Place) -> Made | None:
    """The exit codes of the error that a call makes, and what is its slug and its message; None where it makes none."""
    given = {word.arg: word.value for word in call.keywords}
    name, first = called(call), call.args[0] if call.args else None
    if name in CLASSES and name != "DefinitionError":
        slug = given.get("slug") or ast.Constant(CLASSES[name].slug)
        return (CLASSES[name].exit_code,), slug, first or given.get("message")
    if name == "RoundFault":  # of a recipe as it is written, or as the command line wants it
        codes = CLASSES["UsageError"].exit_code, CLASSES["DefinitionError"].exit_code
        return codes, given["slug"], given["message"]
    if name == "Problem" and "slug" in given:  # of a definition; a view points at results with it
        kind = "StepFailed" if at.module.name.startswith("orchestrator.commands.") else "DefinitionError"
        return (CLASSES[kind].exit_code,), given["slug"], given.get("message")
    if name in CONVENTIONS and len(call.args) > 1 and any(map(SLUG.fullmatch, source.texts(call.args[0], at))):
        return (CLASSES["DefinitionError"].exit_code,), call.args[0], call.args[1]
    return None


def one_error(source: Source, at: Place, slug: ast.expr, message: ast.expr | None) -> Iterator[tuple[str, str]]:
    """Slug and message of the errors that one call makes; of a slug that it is handed, for each of its callers."""
    names = source.texts(slug, at)
    if isinstance(slug, ast.Name) and not names:
        for caller, call in source.callers(at):
            handed = isinstance(message, ast.Name) and message.id in parameters(function_of(at))
            where, words = (caller, argument(call, at, message.id)) if handed else (at, message)
            texts = said(source, where, words)
            yield from ((name, text) for name in source.texts(argument(call, at, slug.id), caller) for text in texts)
        return
    texts = said(source, at, message)
    alike = len(names) == len(texts)  # then each choice of a slug has a message of its own
    for number, name in enumerate(names):
        if SLUG.fullmatch(name):
            yield from ((name, text) for text in (texts[number : number + 1] if alike else texts))


def said(source: Source, at: Place, message: ast.expr | None) -> tuple[str, ...]:
    """The texts of a message that have a word of their own; one empty text where none has."""
    for deep in range(DEEP + 1):
        texts = [text for text in source.texts(message, at, deep) if has_words(text)]
        if texts:
            return tuple(texts)
    return ("",)


def has_words(text: str) -> bool:
    """Whether a text says more than values and what stands between them."""
    return re.search("[A-Za-z]{2}", text) is not None
