"""The text of `run.json`: a record with its version and its seal, written and read."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from orchestrator.errors import StepFailed
from orchestrator.facts.codec import CodecError, from_plain, to_plain
from orchestrator.facts.record import VERSION, RunRecord
from orchestrator.facts.strict_json import strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUSES = ("running", "done", "failed", "interrupted")
RENAMED_KEYS = {"passage": "device_injection", "way": "method"}
"""Keys that records of mlorch 0.1 have, and what they are called now."""


def to_json(record: RunRecord) -> str:
    """The text of `run.json`: fields in their declared order, mappings by key, sealed at the end.

    ``seal`` is the sha256 of everything before it, so that `results verify` sees an edit.
    """
    document = {"version": record.version, **to_plain(record)}
    document["seal"] = seal(document)
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str, *, path: str) -> RunRecord:
    """The record in ``text``; ``path`` only names it in errors.

    Raises `StepFailed` with slug ``record`` for text that is not such a record
    (an edit that breaks the seal is left to `results verify`).
    """
    document = parse(text, path=path)
    document.pop("seal", None)
    try:
        record = from_plain(RunRecord, document, renamed=RENAMED_KEYS)
    except CodecError as error:
        raise _broken(path, str(error.inside("run.json"))) from None
    if record.status not in STATUSES:
        raise _broken(path, f"status is {record.status!r}")
    return record


def parse(text: str, *, path: str) -> dict[str, Any]:
    """The JSON object in ``text`` with its version checked, ``seal`` included."""
    if not text:
        raise StepFailed(
            f"{path}: no record: the run was started by hand, from a line of `--dry-run`",
            slug="record",
            hint="LoadGen's logs are in the same folder; `mlorch run` keeps a record as well",
        )
    try:
        document = strict_json(text)
    except ValueError as exc:
        raise _broken(path, f"not JSON: {exc}") from None
    if not isinstance(document, dict):
        raise _broken(path, "not a JSON object")
    if document.get("version") != VERSION:
        raise StepFailed(
            f"{path}: the record has version {document.get('version')!r}; this mlorch reads {VERSION}",
            slug="record",
            hint="Read it with the mlorch that wrote it, or upgrade mlorch.",
        )
    return document


def seal(document: Mapping[str, Any]) -> str:
    """The sha256 over the canonical form of a record's document without its seal."""
    rest = {key: value for key, value in document.items() if key != "seal"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _broken(path: str, why: str) -> StepFailed:
    hint = "The file was damaged after it was written; the other files of the run may still be good."
    return StepFailed(f"{path}: not a run record: {why}", slug="record", hint=hint)
