"""JSON Schema of the definitions, for editors: completion and red underlines while typing.

An editor's YAML reader turns ``3.10`` into a number before it looks at the schema,
where mlorch reads the text; so the schema takes for every scalar both the native
form and the text that mlorch takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from orchestrator.definitions.kinds.lock import AssetLock, LayerLock
from orchestrator.definitions.kinds.recipes import KINDS, AnyDefinition
from orchestrator.definitions.kinds.settings import SettingsFile
from orchestrator.definitions.yaml import suggestion
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

_TEXT_OF = {
    "integer": r"^\s*[+-]?[0-9][0-9_]*(\.0*)?\s*$",
    "number": r"^\s*[+-]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$",
    "boolean": r"^\s*([Tt]rue|TRUE|[Ff]alse|FALSE|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF|[01tfynTFYN])\s*$",
}
_NOTES = ("title", "description", "default", "examples")
SCHEMAS: dict[str, Any] = {**KINDS, "settings": SettingsFile, "lock": LayerLock, "asset-lock": AssetLock}


def schema(kind: str | None = None) -> dict[str, Any]:
    """The schema of one kind, or of any recipe by its `kind`; also of `settings`, `lock` and `asset-lock`.

    Raises `UsageError` for an unknown kind.
    """
    if kind is not None and kind not in SCHEMAS:
        raise UsageError(f"there is no kind `{kind}`", hint=suggestion(kind, SCHEMAS), slug="unknown-kind")
    adapter: TypeAdapter[Any] = TypeAdapter(AnyDefinition if kind is None else SCHEMAS[kind])
    made = adapter.json_schema(by_alias=True)
    title = "a recipe of mlorch" if kind is None else f"{kind} of mlorch"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_relax(made), "title": title}


def _relax(value: Any) -> Any:
    """The same schema for values as an editor reads them, with regular expressions that JavaScript knows."""
    if isinstance(value, list):
        return [_relax(item) for item in value]
    if not isinstance(value, dict):
        return value
    node = {key: _relax(item) for key, item in value.items()}
    if isinstance(node.get("pattern"), str):
        node["pattern"] = node["pattern"].replace(r"\Z", "$")
    kind = node.get("type")
    if not isinstance(kind, str):  # a field that is called `type`
        return node
    if kind in _TEXT_OF:
        notes = {key: node.pop(key) for key in _NOTES if key in node}
        return {**notes, "anyOf": [node, {"type": "string", "pattern": _TEXT_OF[str(kind)]}]}
    if kind == "string" and "const" not in node and "enum" not in node:
        node["type"] = ["string", "number", "boolean"]
    return node
