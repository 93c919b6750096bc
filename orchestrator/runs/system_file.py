"""Files of what is known of a system, by key: read as input, each entry for itself.

An entry that another version of mlorch wrote, or that somebody edited, is not there for who reads it, and stays in the
file for who can.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from orchestrator.definitions.given_files import read_given
from orchestrator.facts.codec import CodecError, from_plain
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.files import atomic_write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

T = TypeVar("T")
LARGEST = 2**24
"""Bytes; an entry has some hundreds."""


def entries(path: Path, name: str, version: int) -> dict[str, object]:
    """What stands under ``name``; empty where the file is absent, broken or of another version."""
    try:
        document = strict_json(read_given(path, LARGEST).decode())
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict) or document.get("version") != version:
        return {}
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def readable(kind: type[T], found: Mapping[str, object]) -> dict[str, T]:
    """The entries that are a ``kind``."""
    read: dict[str, T] = {}
    for key, entry in found.items():
        try:
            read[key] = from_plain(kind, entry)
        except CodecError:
            continue
    return read


def write(path: Path, name: str, version: int, found: Mapping[str, object]) -> None:
    """Replace the file. Raises `WriteFailed`."""
    document = {"version": version, name: {key: found[key] for key in sorted(found)}}
    atomic_write_text(path, json.dumps(document, indent=1) + "\n", overwrite=True)
