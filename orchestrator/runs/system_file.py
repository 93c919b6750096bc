"""Files of what is known of a system, by key: read as input, each entry for itself.

An entry that another version of mlorch wrote, or that somebody edited, is not there for who reads it, and stays in the
file for who can.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from orchestrator.definitions.given_files import read_given
from orchestrator.facts.codec import CodecError, from_plain, to_plain
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.file_lock import locked
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


def put(path: Path, name: str, version: int, key: str, value: object) -> None:
    """Add or replace the entry ``key``; two processes at once both keep theirs. Raises `WriteFailed`."""
    with locked(path.with_suffix(".lock"), needed=False):
        found = {**entries(path, name, version), key: to_plain(value)}
        document = {"version": version, name: dict(sorted(found.items()))}
        atomic_write_text(path, json.dumps(document, indent=1) + "\n", overwrite=True)
