"""The rules of a round, and what is known of parts, as a form of JSON and back, so that they can be kept. Pure.

Unlike `facts.codec`, named tuples are known, and a mapping keeps its order, which decides which of two guesses holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from orchestrator.facts import checker_rules, parts, rounds

T = TypeVar("T")
_KINDS: dict[str, Any] = {
    name: kind
    for module in (checker_rules, parts, rounds)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and kind.__module__ == module.__name__
}


def form_of(value: Any) -> Any:
    """The form: of a class its name and its fields, each; of a tuple a list."""
    kind = type(value)
    if kind.__name__ in _KINDS:
        names = getattr(kind, "_fields", None) or tuple(each.name for each in fields(kind))
        return {"": kind.__name__, **{name: form_of(getattr(value, name)) for name in names}}
    if isinstance(value, Mapping):
        return {str(key): form_of(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [form_of(each) for each in value]
    return value


def from_form(form: Any) -> Any:
    """The value of a form; raises ValueError, KeyError or TypeError for what is none."""
    if isinstance(form, dict):
        values = {name: from_form(each) for name, each in form.items() if name}
        return _KINDS[form[""]](**values) if "" in form else values
    if isinstance(form, list):
        return tuple([from_form(each) for each in form])
    return form


def rules_from(form: Any) -> rounds.RoundRules:
    """The rules of a round; raises as `from_form`."""
    return _of(rounds.RoundRules, form)


def parts_from(form: Any) -> parts.KnownParts:
    """What is known of parts; raises as `from_form`."""
    return _of(parts.KnownParts, form)


def _of(kind: type[T], form: Any) -> T:
    value = from_form(form)
    if not isinstance(value, kind):
        raise TypeError(type(value).__name__)
    return value
