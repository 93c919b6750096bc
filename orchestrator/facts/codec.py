"""Frozen values to and from the plain types of JSON: one strict codec for records, kept plans, findings and bundles.

What a class takes is read from its annotations once a process: scalars, ``object`` (whatever JSON has),
``X | None`` and other unions, ``tuple[X, ...]``, ``Mapping[str, X]``, and other dataclasses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin

T = TypeVar("T")
Decoder = Callable[[Any], Any]
_SCALARS = frozenset({str, int, float, bool, NoneType})


class CodecError(ValueError):
    """A document that is not the value which it should be; ``where`` names the place, outermost first."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.path: list[str] = []

    @property
    def where(self) -> str:
        return ".".join(reversed(self.path))

    def __str__(self) -> str:
        return f"{self.where} {self.why}" if self.path else self.why

    def inside(self, key: str) -> CodecError:
        """The same, found one step further out."""
        self.path.append(key)
        return self


def to_plain(value: Any) -> Any:
    """``value`` in dicts, lists and scalars; fields in their declared order, other mappings sorted by key."""
    kind: Any = type(value)
    if kind in _SCALARS:
        return value
    if hasattr(kind, "__dataclass_fields__"):
        return {name: to_plain(getattr(value, name)) for name in _names(kind)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[T], document: object, *, renamed: Mapping[str, str] | None = None) -> T:
    """The ``kind`` (a dataclass) in a JSON document; ``renamed`` maps old names of keys to the fields' names.

    Raises `CodecError` for a key that is unknown or missing and for a value of another type.
    """
    of: Any = kind
    return cast("T", _class_decoder(of, tuple(sorted((renamed or {}).items())))(document))


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


@cache
def _class_decoder(kind: type, renamed: tuple[tuple[str, str], ...]) -> Decoder:
    hints = {each.name: _hint(kind, each.type) for each in fields(kind)}
    decoders = {name: _decoder(hint, renamed) for name, hint in hints.items()}
    needed = {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}
    aliases = {old: new for old, new in renamed if new in decoders}

    def decode(document: Any) -> Any:
        if type(document) is not dict:
            raise CodecError("is not an object")
        changed: dict[str, Any] = {}
        for key, item in document.items():
            if type(item) is hints.get(key):  # by far the most common case: nothing to do
                continue
            if key not in decoders:
                if aliases.keys() & document.keys():
                    return decode({aliases.get(name, name): each for name, each in document.items()})
                raise CodecError(f"has the unknown key {key!r}")
            try:
                changed[key] = decoders[key](item)
            except CodecError as error:
                raise error.inside(key) from None
        if not needed <= document.keys():
            raise CodecError(f"lacks a required key: {min(needed - document.keys())!r}")
        return kind(**document | changed)

    return decode


_PLAIN_HINTS: dict[str, Any] = {"str": str, "int": int, "bool": bool, "float": float, "object": object}


def _hint(kind: type, annotation: object) -> Any:
    """The type that an annotation means; those of modules with postponed annotations are text."""
    if not isinstance(annotation, str):
        return annotation
    if annotation in _PLAIN_HINTS:
        return _PLAIN_HINTS[annotation]
    return eval(annotation, vars(sys.modules[kind.__module__]))  # noqa: S307 (source of our own)


def _decoder(hint: Any, renamed: tuple[tuple[str, str], ...]) -> Decoder:
    """What turns plain JSON into a value of the annotated type ``hint``."""
    if hint is object:
        return _anything
    if hint is float:
        return _float
    if hint in _SCALARS:
        return _scalar(hint)
    if is_dataclass(hint):
        return _class_decoder(cast("type", hint), renamed)
    return _generic_decoder(hint, get_origin(hint), get_args(hint), renamed)


def _generic_decoder(hint: Any, origin: Any, args: tuple[Any, ...], renamed: tuple[tuple[str, str], ...]) -> Decoder:
    if origin is UnionType:
        return _union(args, renamed)
    if origin is Mapping and args[0] is str:
        return _by_name(_decoder(args[1], renamed))
    if origin is tuple and args[1:] == (...,):
        return _many(_decoder(args[0], renamed))
    if origin is tuple:
        return _fixed(tuple(_decoder(arg, renamed) for arg in args))
    raise TypeError(f"the codec does not know {hint!r}")


def _anything(value: Any) -> Any:
    return value


def _float(value: Any) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    raise CodecError("has the wrong type")


def _scalar(kind: type) -> Decoder:
    def decode(value: Any) -> Any:
        if type(value) is kind:
            return value
        raise CodecError("has the wrong type")

    return decode


def _union(kinds: tuple[Any, ...], renamed: tuple[tuple[str, str], ...]) -> Decoder:
    """The alternative whose type is exactly the value's, else the one (dataclass, tuple, float) that takes it."""
    scalars = frozenset(kind for kind in kinds if kind in _SCALARS)
    others = tuple(_decoder(kind, renamed) for kind in kinds if kind not in _SCALARS or kind is float)

    def decode(value: Any) -> Any:
        if type(value) in scalars:
            return value
        for other in others[:-1]:
            try:
                return other(value)
            except CodecError:
                continue
        if not others:
            raise CodecError("has the wrong type")
        return others[-1](value)

    return decode


def _many(item: Decoder) -> Decoder:
    def decode(value: Any) -> Any:
        if type(value) is not list:
            raise CodecError("has the wrong type")
        return tuple([item(each) for each in value])

    return decode


def _fixed(items: tuple[Decoder, ...]) -> Decoder:
    def decode(value: Any) -> Any:
        if type(value) is not list or len(value) != len(items):
            raise CodecError("has the wrong type")
        return tuple([item(each) for item, each in zip(items, value, strict=True)])

    return decode


def _by_name(item: Decoder) -> Decoder:
    def decode(value: Any) -> Any:
        if type(value) is not dict:
            raise CodecError("has the wrong type")
        found = {}
        for key, each in value.items():
            try:
                found[key] = item(each)
            except CodecError as error:
                raise error.inside(key) from None
        return found

    return decode
