"""Frozen values to and from the plain types of JSON: one strict codec for records, kept plans, findings and bundles.

What a class takes is read from its annotations once a process: scalars, ``object`` (whatever JSON has),
``X | None`` and other unions, ``tuple[X, ...]``, ``Mapping[str, X]``, and other dataclasses.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin

T = TypeVar("T")
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
    return cast("T", _instance(kind, document, renamed or {}))


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


@cache
def _shape(kind: Any) -> tuple[dict[str, Any], dict[str, frozenset[Any]], frozenset[str]]:
    """The types of a dataclass's fields by name, of each the scalars that are taken as they are, and what it needs."""
    known = fields(kind)
    needed = (each.name for each in known if each.default is MISSING and each.default_factory is MISSING)
    hints = {each.name: _hint(kind, each.type) for each in known}
    return hints, {name: _as_they_are(hint) for name, hint in hints.items()}, frozenset(needed)


@cache
def _as_they_are(hint: Any) -> frozenset[Any]:
    """The types of JSON whose values are of the annotated type already."""
    if hint is object:
        return _SCALARS | {dict, list}
    alternatives = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    return _SCALARS.intersection(kind for kind in alternatives if isinstance(kind, type))


_PLAIN_HINTS: dict[str, Any] = {"str": str, "int": int, "bool": bool, "float": float, "object": object}


def _hint(kind: type, annotation: object) -> Any:
    """The type that an annotation means; those of modules with postponed annotations are text."""
    if not isinstance(annotation, str):
        return annotation
    if annotation in _PLAIN_HINTS:
        return _PLAIN_HINTS[annotation]
    return eval(annotation, vars(sys.modules[kind.__module__]))  # noqa: S307 (source of our own)


def _instance(kind: type, document: Any, renamed: Mapping[str, str]) -> Any:
    if type(document) is not dict:
        raise CodecError("is not an object")
    hints, scalars, needed = _shape(kind)
    changed: dict[str, Any] = {}
    for key, item in document.items():
        if key in scalars and type(item) in scalars[key]:  # by far the most common case: nothing to do
            continue
        hint = hints.get(key)
        if hint is None:
            aliases = {old: new for old, new in renamed.items() if old in document and new in hints}
            if aliases:
                return _instance(kind, {aliases.get(name, name): each for name, each in document.items()}, renamed)
            raise CodecError(f"has the unknown key {key!r}")
        changed[key] = _inside(key, hint, item, renamed)
    if not needed <= document.keys():
        raise CodecError(f"lacks a required key: {min(needed - document.keys())!r}")
    return kind(**document | changed)


def _inside(key: str, hint: Any, value: Any, renamed: Mapping[str, str]) -> Any:
    try:
        return _value(hint, value, renamed)
    except CodecError as error:
        raise error.inside(key) from None


def _value(hint: Any, value: Any, renamed: Mapping[str, str]) -> Any:
    """What plain JSON is as the annotated type ``hint``."""
    if type(value) is hint or hint is object:
        return value
    if hint is float and type(value) is int:
        return float(value)
    if hasattr(hint, "__dataclass_fields__"):
        return _instance(hint, value, renamed)
    return _container(*_parts(hint), value, renamed)


def _container(origin: Any, args: tuple[Any, ...], value: Any, renamed: Mapping[str, str]) -> Any:
    if origin is UnionType:
        return _alternative(args, value, renamed)
    if origin is Mapping and type(value) is dict:
        if _as_they_are(args[1]).issuperset(map(type, value.values())):
            return value
        return {key: _inside(key, args[1], each, renamed) for key, each in value.items()}
    if origin is tuple and type(value) is list:
        return _items(args, value, renamed)
    raise CodecError("has the wrong type")


def _items(kinds: tuple[Any, ...], value: list[Any], renamed: Mapping[str, str]) -> tuple[Any, ...]:
    """A list as ``tuple[X, ...]``, or as a tuple of so many types."""
    if kinds[1:] == (...,):
        if _as_they_are(kinds[0]).issuperset(map(type, value)):
            return tuple(value)
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise CodecError("has the wrong type")
    return tuple([_value(kind, each, renamed) for kind, each in zip(kinds, value, strict=True)])


@cache
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    origin, args = get_origin(hint), get_args(hint)
    if origin not in {UnionType, Mapping, tuple} and hint not in _SCALARS:
        raise TypeError(f"the codec does not know {hint!r}")
    return origin, args


def _alternative(kinds: tuple[Any, ...], value: Any, renamed: Mapping[str, str]) -> Any:
    """Of a union the type that is exactly the value's, else the one (dataclass, tuple, float) that takes it."""
    if any(kind is type(value) for kind in kinds):
        return value
    refusal = CodecError("has the wrong type")
    for kind in kinds:
        if kind not in _SCALARS or kind is float:
            try:
                return _value(kind, value, renamed)
            except CodecError as error:
                refusal = error
    raise refusal
