"""What an explanation is made of: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.facts.rounds import ModelRules
    from orchestrator.submissions.defects import Defect
    from orchestrator.submissions.facts import ResultFacts
    from orchestrator.submissions.findings import Finding, Rulebook


class Origin(NamedTuple):
    """Where something stands, and how it is written there."""

    path: str
    """Below the root of the tree; a folder where only the name counts."""
    key: str = ""
    """Of a detail log or of JSON; of another file the text by which the line is found."""
    raw: str = ""
    line: int = 0
    """From 1; 0 of a folder, and of what was not found again."""
    last: int = 0
    """The last of several lines."""

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {
            "path": self.path,
            "line": self.line or None,
            "last_line": self.last or None,
            "key": self.key or None,
            "raw": self.raw,
        }


class Derived(NamedTuple):
    """How a value comes about, and from what."""

    how: str
    origins: tuple[Origin, ...] = ()


class Column(NamedTuple):
    """A column of a row."""

    name: str
    value: str
    how: str
    origins: tuple[Origin, ...]

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {
            "column": self.name,
            "value": self.value,
            "how": self.how,
            "from": [origin.document() for origin in self.origins],
        }


class Looked(NamedTuple):
    """A rule that was looked at."""

    part: str
    """Of what it is a rule: the system, the performance test, …"""
    path: str
    rule: str
    asks: str
    source: str
    findings: tuple[Finding, ...]
    """What breaks it; nothing where it is good."""

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {
            "part": self.part,
            "path": self.path,
            "rule": self.rule,
            "asks": self.asks,
            "source": self.source,
            "good": not self.findings,
            "findings": [found.document() for found in self.findings],
        }


@dataclass(frozen=True, slots=True)
class Case:
    """A result and the rules by which it is looked at."""

    result: ResultFacts
    model: ModelRules
    book: Rulebook
    row: Mapping[str, str]
    """Its columns."""
    mapping: Mapping[str, str]
    """The submitter's own names of models (open division)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A result explained."""

    location: str
    round: str
    taken: bool
    """Whether it has a row; else the columns are what the row would be made of."""
    rows: tuple[tuple[Column, ...], ...]
    """The row of the performance, then that of the power."""
    rules: tuple[Looked, ...]
    defects: tuple[Defect, ...]
    """Of the official checker, that touch this result."""

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {
            "location": self.location,
            "round": self.round,
            "taken": self.taken,
            "rows": [[column.document() for column in row] for row in self.rows],
            "rules": [looked.document() for looked in self.rules],
            "defects": [{"id": each.id, "official": each.official, "here": each.here} for each in self.defects],
        }
