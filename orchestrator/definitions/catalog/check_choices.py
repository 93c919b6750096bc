"""Faults of a recipe that show only with other choices than the defaults of its axes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.definitions.axes import first_allowed, read_axes
from orchestrator.definitions.catalog.choose import varied
from orchestrator.definitions.kinds.recipes import KINDS
from orchestrator.definitions.variations import Change
from orchestrator.definitions.yaml import suggestion
from orchestrator.definitions.yaml.nodes import MapNode, ScalarNode
from orchestrator.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orchestrator.definitions.axes import Axes, Loc, When
    from orchestrator.definitions.catalog.entries import AnyEntry, Catalog
    from orchestrator.definitions.yaml import Document
    from orchestrator.errors import Problem

    Check = Callable[[Catalog, AnyEntry], tuple[Problem, ...]]


def check_choices(catalog: Catalog, check: Check) -> tuple[Problem, ...]:
    """Every value of every axis, one at a time, and every part, where the choices that it needs meet.

    ``check`` is what is asked of the recipe with these choices.
    """
    problems: dict[tuple[object, ...], Problem] = {}
    for entry in catalog.entries():
        document = entry.written or entry.document
        if not getattr(entry.definition, "axes", None) or not isinstance(document.root, MapNode):
            continue
        found = read_axes(document, document.root)
        for problem in _unknown_nulls(entry, document, found):
            problems[problem.span, problem.slug] = problem
        for wanted, loc in _wanted(found):
            choice = first_allowed(found, wanted)
            if choice is None:
                words = " ".join(f"{axis}={'|'.join(values)}" for axis, values in wanted.items())
                hint = "make a conflict narrower, or take it out"
                problems[loc] = document.fault("axis", f"`{words}` could never be chosen", loc, hint)
                continue
            for problem in _problems(catalog, entry, choice, check):
                told = replace(problem, message=f"{problem.message} (with {_words(found, choice)})")
                problems.setdefault((problem.span, problem.slug, problem.message), told)
    return tuple(problems.values())


def _problems(catalog: Catalog, entry: AnyEntry, choice: Mapping[str, str], check: Check) -> Iterable[Problem]:
    try:
        with_choice = varied(catalog, entry, [Change(axis, value) for axis, value in choice.items()])
    except DefinitionError as error:
        return error.problems()
    return check(catalog, with_choice)


def _words(found: Axes, choice: Mapping[str, str]) -> str:
    """The choices that are not the defaults: ``precision=int8``."""
    defaults = found.defaults()
    return " ".join(f"{axis}={value}" for axis, value in choice.items() if value != defaults[axis]) or "the defaults"


def _wanted(found: Axes) -> Iterator[tuple[When, Loc]]:
    """What is to be tried, and where it stands."""
    for name, axis in found.axes.items():
        for value in axis.values:
            if value != axis.default:
                yield {name: (value,)}, ("axes", name, "values", value)
    for part in found.parts:
        yield part.when, (*part.loc, "when")


def _unknown_nulls(entry: AnyEntry, document: Document, found: Axes) -> Iterator[Problem]:
    """Fields that a choice takes away and that no recipe has: of others decoding says so."""
    model = KINDS[str(getattr(entry.definition, "kind", ""))]
    fields = [info.alias or name for name, info in model.model_fields.items()]
    overlays = [overlay for axis in found.axes.values() for overlay in axis.values.values()]
    overlays += [part.overlay for part in found.parts]
    for overlay in overlays:
        for key, (key_node, value) in (overlay.entries if overlay is not None else {}).items():
            if isinstance(value, ScalarNode) and value.null and key not in fields:
                span = key_node.span(document.path)
                yield document.problem("unknown-key", f"unknown key `{key[:60]}`", span, suggestion(key, fields))
