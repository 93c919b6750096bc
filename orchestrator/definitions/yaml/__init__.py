"""Text in, values out: YAML whose every node knows its line and column, and the faults found in it.

Importing this room costs neither yaml nor pydantic: they come with the first
document that is read and the first that is decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.definitions.yaml.document import Document, read_document, to_plain
from orchestrator.definitions.yaml.text import nearest, render_problem, suggestion

if TYPE_CHECKING:
    from typing import TypeVar

    from pydantic import BaseModel

    M = TypeVar("M", bound=BaseModel)

__all__ = ["Document", "decode", "nearest", "read_document", "render_problem", "suggestion", "to_plain"]


def decode(document: Document, model: type[M]) -> M:
    """Turn a document into a model.

    Raises `DefinitionError` with every fault of the document, each with line and column,
    in the order of the text.
    """
    from orchestrator.definitions.yaml.decoding import decode as decode_document

    return decode_document(document, model)
