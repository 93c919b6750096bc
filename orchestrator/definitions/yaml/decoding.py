"""A tree -> a pydantic model, and pydantic's complaints -> located faults in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from orchestrator.definitions.yaml.nodes import MapNode, Node, ScalarNode
from orchestrator.definitions.yaml.text import listing, nearest, suggestion
from orchestrator.definitions.yaml.wording import complaint, dotted, quoted
from orchestrator.errors import DefinitionError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeVar

    from orchestrator.definitions.yaml.document import Document

    M = TypeVar("M", bound=BaseModel)

MAX_FAULTS = 200
"""Reported of one file; what has more is no recipe."""
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
        raise DefinitionError([document.fault("empty-file", "this file is empty", hint="see `mlorch recipes new`")])
    try:
        value = model.model_validate(document.root.plain())
    except ValidationError as error:
        errors = error.errors(include_url=False)
        faults = [_fault(document, dict(e)) for e in errors[:MAX_FAULTS]]
        problems += _distinct(_translate(document, model, faults))
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


def _tag(node: Node | None) -> str | None:
    kind = node.child("kind") if node is not None else None
    return kind.value if isinstance(kind, ScalarNode) else None


def _translate(document: Document, model: type[BaseModel], faults: list[_Fault]) -> list[Problem]:
    unknown = [fault for fault in faults if fault.kind == "extra_forbidden"]
    meant = {(fault.loc, key) for fault in unknown for key in nearest(fault.key, _free_keys(document, model, fault))}
    problems = [_unknown_key(document, model, fault) for fault in unknown]
    for fault in faults:
        if fault.kind == "missing":
            if (fault.loc, fault.key) not in meant:
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


def _free_keys(document: Document, model: type[BaseModel], fault: _Fault) -> list[str]:
    """The keys that could still be given beside an unknown one."""
    node = document.node(fault.loc)
    return [name for name in _keys_at(model, document, fault.loc) if node is None or node.child(name) is None]


def _unknown_key(document: Document, model: type[BaseModel], fault: _Fault) -> Problem:
    free = _free_keys(document, model, fault)
    where = f" in `{dotted(fault.loc)}`" if fault.loc else ""
    hint = suggestion(fault.key, free, "keys that can still be given") if free else ""
    span = document.span((*fault.loc, fault.key), key=True)
    return document.problem("unknown-key", f"unknown key {quoted(fault.key)}{where}", span, hint)


def _missing_key(document: Document, model: type[BaseModel], fault: _Fault) -> Problem:
    where = f" in `{dotted(fault.loc)}`" if fault.loc else ""
    hint = _keys_at(model, document, fault.loc).get(fault.key) or f"add `{fault.key}: …`"
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
    loc, hint = (*fault.loc, key), suggestion(given, tags)
    return document.fault("unknown-kind", f"there is no {key} {quoted(given)} for `{dotted(fault.loc)}`", loc, hint)


def _bad_value(document: Document, model: type[BaseModel], fault: _Fault) -> Problem:
    node = document.node(fault.loc)
    if fault.about_key:
        key = str(fault.loc[-1])
        message, hint = complaint(fault.kind, fault.error, key)
        where = dotted(fault.loc[:-1]) or "the top level"
        message = f"the key {quoted(key)} in `{where}`: {message}"
        return document.problem("bad-value", message, document.span(fault.loc, key=True), hint)
    empty = isinstance(node, ScalarNode) and node.null
    written = node.value if isinstance(node, ScalarNode) and not empty else None
    message, hint = complaint(fault.kind, fault.error, written)
    if fault.kind in {"model_type", "model_attributes_type"}:
        hint = listing("its keys are", list(_keys_at(model, document, fault.loc)))
    where = f"`{dotted(fault.loc)}`: " if fault.loc else ""
    return document.problem("bad-value", where + message, document.span(fault.loc, key=empty), hint)


def _distinct(problems: list[Problem]) -> list[Problem]:
    """One fault a value, which aliases may repeat; of one mapping several keys can be missing."""
    first: dict[object, Problem] = {}
    for problem in problems:
        first.setdefault((problem.message if problem.slug == "missing-key" else problem.slug, problem.span), problem)
    return list(first.values())


# -- what a model allows at a location ---------------------------------------------------


def _keys_at(model: type[BaseModel], document: Document, loc: tuple[str | int, ...]) -> dict[str, str]:
    """The keys of the model at a location, each with its description; none where it is no model."""
    shape: Any = model
    node = document.root
    for item in loc:
        shape = _below(shape, item, node)
        node = node.child(item) if node is not None else None
    shape = _choose(shape, node)
    if not _is_model(shape):
        return {}
    return {field.alias or name: field.description or "" for name, field in shape.model_fields.items()}


def _below(shape: Any, item: str | int, node: Node | None) -> Any:
    shape = _choose(shape, node)
    if _is_model(shape):
        for name, field in shape.model_fields.items():
            if item in {name, field.alias}:
                return field.annotation
        return None
    arguments = get_args(shape)
    origin = get_origin(shape)
    if origin is dict and len(arguments) == 2:
        return arguments[1]
    if origin in {tuple, list} and arguments:
        return arguments[0]
    return None


def _choose(shape: Any, node: Node | None) -> Any:
    """Strip `Annotated`; of a union take the arm that the node's `kind` names, else the first model."""
    while get_origin(shape) is Annotated:
        shape = get_args(shape)[0]
    if get_origin(shape) not in {Union, UnionType}:
        return shape
    arms = [_choose(arm, node) for arm in get_args(shape) if arm is not type(None)]
    tag = _tag(node)
    for arm in arms:
        if _is_model(arm) and tag in _kinds(arm):
            return arm
    if isinstance(node, MapNode):  # a text or a mapping: it is the mapping
        arms = [arm for arm in arms if _is_model(arm)] or arms
    return arms[0] if arms else None


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("kind")
    annotation = field.annotation if field else None
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _is_model(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, BaseModel)
