"""A tree -> a pydantic model, and pydantic's complaints -> located faults in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from orchestrator.definitions.yaml.nodes import MapNode, Node, ScalarNode
from orchestrator.definitions.yaml.shape import keys_at
from orchestrator.definitions.yaml.text import nearest
from orchestrator.definitions.yaml.wording import complaint, dotted, quoted
from orchestrator.errors import DefinitionError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeVar

    from orchestrator.definitions.yaml.document import Document

    M = TypeVar("M", bound=BaseModel)

MAX_FAULTS = 200
"""Told of one file; what has more is no recipe."""
Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Fault:
    """One complaint of pydantic: its kind, the location in the file, the last key where it names one."""

    kind: str
    loc: Loc
    key: str
    about_key: bool
    error: Mapping[str, Any]


def decode(document: Document, model: type[M]) -> M:
    """See `orchestrator.definitions.yaml.decode`."""
    problems = list(document.problems)
    if document.root is None:
        span = document.span(())
        raise DefinitionError([document.problem("empty-file", "this file is empty", span, "see `mlorch recipes new`")])
    try:
        value = model.model_validate(document.root.plain())
    except ValidationError as error:
        errors = error.errors(include_url=False)
        faults = [_fault(document, dict(e)) for e in errors[:MAX_FAULTS]]
        problems += _merge(_translate(document, model, faults))
        problems.sort(key=_position)
        if len(errors) > MAX_FAULTS:
            message = f"there are {len(errors) - MAX_FAULTS} more faults in this file"
            problems.append(document.problem("too-many-faults", message, document.span((), key=True)))
        raise DefinitionError(problems) from None
    if problems:
        raise DefinitionError(problems)
    return value


def _position(problem: Problem) -> tuple[int, int]:
    return (problem.span.line, problem.span.column) if problem.span else (0, 0)


def _fault(document: Document, error: Mapping[str, Any]) -> _Fault:
    """Map pydantic's location to the file's: without union tags, names of union arms and the like."""
    kind = str(error["type"])
    raw: list[str | int] = list(error["loc"])
    key = str(raw.pop()) if kind in {"missing", "extra_forbidden"} and raw else ""
    node: Node | None = document.root
    loc: list[str | int] = []
    about_key = False
    tagged = True  # the model of the whole file is given, not chosen by a tag
    for item in raw:
        if item == "[key]":
            about_key = True
        elif not tagged and isinstance(node, MapNode) and item == _tag(node):
            tagged = True
        else:
            child = node.child(item) if node is not None else None
            if child is not None:
                node, tagged = child, False
                loc.append(item)
    return _Fault(kind=kind, loc=tuple(loc), key=key, about_key=about_key, error=error)


def _tag(node: MapNode) -> str | None:
    kind = node.child("kind")
    return kind.value if isinstance(kind, ScalarNode) else None


def _translate(document: Document, model: type[BaseModel], faults: list[_Fault]) -> list[Problem]:
    problems: list[Problem] = []
    explained: set[tuple[Loc, str]] = set()
    for fault in faults:
        if fault.kind == "extra_forbidden":
            problem, meant = _unknown_key(document, model, fault)
            problems.append(problem)
            explained.add((fault.loc, meant))
    for fault in faults:
        if fault.kind == "missing":
            if (fault.loc, fault.key) not in explained:
                problems.append(_missing_key(document, model, fault))
        elif fault.kind in {"union_tag_invalid", "union_tag_not_found"}:
            problems.append(_bad_tag(document, fault))
        elif fault.kind != "extra_forbidden" and not _follows(fault):
            problems.append(_bad_value(document, model, fault))
    return problems


def _follows(fault: _Fault) -> bool:
    """Whether a list is called too short only because its entries were refused, each with its own fault."""
    given, context = fault.error.get("input"), fault.error.get("ctx") or {}
    return fault.kind == "too_short" and isinstance(given, list) and len(given) >= context.get("min_length", 0)


def _unknown_key(document: Document, model: type[BaseModel], fault: _Fault) -> tuple[Problem, str]:
    """The fault and the key that was probably meant ('' where none is near)."""
    node = document.node(fault.loc)
    given = set(node.entries) if isinstance(node, MapNode) else set()
    known = keys_at(model, document, fault.loc)
    free = [name for name in known if name not in given]
    near = nearest(fault.key, free)
    where = f" in `{dotted(fault.loc)}`" if fault.loc else ""
    hint = f"did you mean `{near[0]}`?" if near else _choices("keys that can still be given", free)
    span = document.span((*fault.loc, fault.key), key=True)
    return document.problem("unknown-key", f"unknown key {quoted(fault.key)}{where}", span, hint), "".join(near)


def _missing_key(document: Document, model: type[BaseModel], fault: _Fault) -> Problem:
    known = keys_at(model, document, fault.loc)
    about = known.get(fault.key, "")
    where = f" in `{dotted(fault.loc)}`" if fault.loc else ""
    hint = about or f"add `{fault.key}: …`"
    span = document.span(fault.loc, key=True)
    return document.problem("missing-key", f"the key `{fault.key}` is missing{where}", span, hint)


def _bad_tag(document: Document, fault: _Fault) -> Problem:
    context = fault.error.get("ctx", {})
    key = str(context.get("discriminator", "kind")).strip("'")
    if fault.kind == "union_tag_not_found":
        message = f"the key `{key}` is missing in `{dotted(fault.loc)}`"
        hint = f"`{key}` says what the rest means"
        return document.problem("missing-key", message, document.span(fault.loc, key=True), hint)
    tags = [tag.strip().strip("'") for tag in str(context.get("expected_tags", "")).split(",")]
    given = str(context.get("tag", ""))
    near = nearest(given, tags)
    hint = f"did you mean `{near[0]}`?" if near else _choices("one of", tags)
    loc = (*fault.loc, key)
    return document.fault("unknown-kind", f"there is no {key} {quoted(given)} for `{dotted(fault.loc)}`", loc, hint)


def _bad_value(document: Document, model: type[BaseModel], fault: _Fault) -> Problem:
    node = document.node(fault.loc)
    if fault.about_key:
        key = str(fault.loc[-1])
        message, hint = complaint(fault.kind, fault.error, key)
        place = dotted(fault.loc[:-1]) or "the top level"
        return document.problem(
            "bad-value", f"the key {quoted(key)} in `{place}`: {message}", document.span(fault.loc, key=True), hint
        )
    written = node.value if isinstance(node, ScalarNode) and not node.null else None
    message, hint = complaint(fault.kind, fault.error, written)
    if fault.kind in {"model_type", "model_attributes_type"}:
        hint = _choices("its keys are", list(keys_at(model, document, fault.loc)))
    where = f"`{dotted(fault.loc)}`: " if fault.loc else ""
    empty = isinstance(node, ScalarNode) and node.null
    span = document.span(fault.loc, key=empty)
    return document.problem("bad-value", where + message, span, hint)


def _choices(lead: str, names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:12])
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"{lead}: {shown}{more}" if names else ""


def _merge(problems: list[Problem]) -> list[Problem]:
    """One fault a place: the arms of a union complain each for itself about the same value."""
    merged: dict[object, Problem] = {}
    for problem in problems:
        place = (problem.slug, problem.span)
        if problem.slug == "missing-key":
            place = (problem.message, problem.span)
        first = merged.get(place)
        if first is None:
            merged[place] = problem
        elif first.message != problem.message and problem.message not in first.message:
            tail = problem.message.partition(": ")[2] or problem.message
            merged[place] = Problem(
                slug=first.slug,
                message=f"{first.message}; or {tail}",
                span=first.span,
                hint=first.hint or problem.hint,
                source_line=first.source_line,
            )
    return list(merged.values())
