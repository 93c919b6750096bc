"""What a model allows at a location of a document."""

from __future__ import annotations

from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from orchestrator.definitions.yaml.nodes import MapNode, ScalarNode

if TYPE_CHECKING:
    from orchestrator.definitions.yaml.document import Document
    from orchestrator.definitions.yaml.nodes import Node


def keys_at(model: type[BaseModel], document: Document, loc: tuple[str | int, ...]) -> dict[str, str]:
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
    kind = node.child("kind") if isinstance(node, MapNode) else None
    if isinstance(kind, ScalarNode):
        for arm in arms:
            if _is_model(arm) and kind.value in _kinds(arm):
                return arm
    return arms[0] if arms else None


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("kind")
    annotation = field.annotation if field else None
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _is_model(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, BaseModel)
