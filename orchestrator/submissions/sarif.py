"""Findings as SARIF 2.1.0, which code hosts and editors read. Pure.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from orchestrator.facts.neutral import neutral

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.submissions.findings import Finding, Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "hint": "note"}


def sarif_document(
    rules: Iterable[Rule[Any]],
    findings: Sequence[tuple[Finding, int]],
    *,
    round_name: str,
    version: str,
    folder: str,
) -> dict[str, Any]:
    """A log of one run. ``findings`` are with their lines (0: none); ``folder`` is the tree's path from the top of
    the repository that it lies in, or a whole path; ``version`` is of this program.
    """
    by_id = {rule.id: rule for rule in rules}
    index = {name: number for number, name in enumerate(by_id)}
    run = {
        "tool": {
            "driver": {
                "name": "mlorch",
                "version": version,
                "rules": [_rule(rule) for rule in by_id.values()],
            }
        },
        "automationDetails": {"id": f"mlorch-submission-check/{round_name}/"},
        "columnKind": "unicodeCodePoints",
        "results": [_result(found, line, index, folder) for found, line in findings],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule[Any]) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.asks},
        "fullDescription": {"text": f"{rule.asks} Source: {rule.source}."},
        "help": {"text": rule.hint or rule.asks},
        "defaultConfiguration": {"level": _LEVELS[rule.level]},
    }


def _result(found: Finding, line: int, index: dict[str, int], folder: str) -> dict[str, Any]:
    text = f"{found.message}\n{found.hint}" if found.hint else found.message
    physical: dict[str, Any] = {"artifactLocation": _artifact(folder, found.path)}
    if line:
        physical["region"] = {"startLine": line}
    return {
        "ruleId": found.rule,
        "ruleIndex": index[found.rule],
        "level": _LEVELS[found.level],
        "message": {"text": neutral(text)},
        "locations": [{"physicalLocation": physical}],
        "partialFingerprints": {"mlorchFinding/v1": _fingerprint(found)},
        "properties": {"official": found.official},
    }


def _artifact(folder: str, path: str) -> dict[str, str]:
    """A file: every character that means something in a URI, and every byte that is no text, is quoted."""
    whole = "/".join(part for part in (folder, path) if part) or "."
    quoted = quote(whole, safe="/", errors="surrogateescape")
    if folder.startswith("/"):
        return {"uri": f"file://{quoted}"}
    return {"uri": quoted, "uriBaseId": "%SRCROOT%"}


def _fingerprint(found: Finding) -> str:
    """The same for the same finding of another run, wherever the tree lies."""
    text = f"{found.rule}\0{found.path}\0{found.message}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]
