"""What does not hold of a run, and how its documents are looked into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.host.untrusted import LARGEST_DOCUMENT, UnreadableFile, read_document

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that does not hold: the file it is about and why."""

    file: str
    message: str


def lookup(document: object, dotted: str) -> object:
    """The value at a dotted name of a JSON document; None where there is none."""
    value: object = document
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def samples_expected(folder: Path) -> object:
    """How many samples the settings of the run name; None where they name none."""
    settings = document_of(folder, "settings.json")
    return lookup(settings, "dataset.samples") if isinstance(settings, dict) else None


def document_of(folder: Path, name: str, limit: int = LARGEST_DOCUMENT) -> object:
    """A JSON document of the run; None where it cannot be read."""
    try:
        return read_document(folder, name, limit)
    except UnreadableFile:
        return None
