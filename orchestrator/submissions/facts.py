"""What the files of one result say: frozen values. What could not be read is a value too, with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.submissions.accuracy_text import AccuracyText
    from orchestrator.submissions.detail_log import DetailLog


class Unread(NamedTuple):
    """Why something was not read."""

    why: str
    missing: bool = False


NOT_THERE = Unread("is missing", missing=True)


class Document(NamedTuple):
    """A JSON object, and what makes its meaning doubtful (a key that stands there twice); empty where nothing does."""

    fields: Mapping[str, Any]
    doubt: str = ""

    def text(self, key: str, otherwise: str = "") -> str:
        """A field as text; ``otherwise`` where it is not there or null."""
        value = self.fields.get(key)
        return otherwise if value is None else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFacts:
    """One system of a submitter and its description."""

    division: str
    submitter: str
    name: str
    path: str
    """Of the description."""
    description: Document | Unread

    @property
    def results(self) -> str:
        """The folder of its results."""
        return f"{self.division}/{self.submitter}/results/{self.name}"

    @property
    def fields(self) -> Mapping[str, Any]:
        """The description's fields; none where it was not read."""
        return self.description.fields if isinstance(self.description, Document) else {}

    @property
    def over_network(self) -> bool:
        """Whether it says that it is reached over a network."""
        return str(self.fields.get("is_network", "")).lower() == "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The folder of one performance test: of a result, of its ranging run, of a compliance test."""

    path: str
    files: tuple[str, ...] | None
    """None where there is no folder."""
    log: DetailLog | Unread


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyFacts:
    """The folder of an accuracy test."""

    path: str
    files: tuple[str, ...] | None
    folders: Mapping[str, tuple[str, ...]]
    """The names of the files in each folder below."""
    text: AccuracyText | Unread
    log: DetailLog | Unread
    log_bytes: int | None
    """Of the accuracy log; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementFacts:
    """The folder of measurements."""

    path: str
    sizes: Mapping[str, int] | None
    """By name; None where there is no folder."""
    above: Mapping[str, int]
    """Files of the three folders above, by name."""
    json_name: str
    """The name of the description of the implementation; empty where there is none."""
    description: Document | Unread
    code: str
    """The folder of the implementation's code."""
    code_there: bool
    equal_issue: bool | None = None
    """Whether LoadGen's configuration there sets equal issue; None where the round does not look there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestFacts:
    """The folder of one compliance test."""

    name: str
    path: str
    there: bool
    verdicts: Mapping[str, tuple[str, ...] | Unread]
    """By file, its lines."""
    run: RunFacts | None = None
    accuracy_files: tuple[str, ...] | None = None
    baseline: AccuracyText | Unread = NOT_THERE
    compliance: AccuracyText | Unread = NOT_THERE


class PowerSample(NamedTuple):
    """The mean of the watts over a test; -1 where there is no sample."""

    watts: float
    samples: int
    why: str = ""
    """Why nothing was read."""
    first: int = 0
    """The line of the first sample that counts, and of the last one; 0 where there is none."""
    last: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerFacts:
    """The folders of a test with power."""

    path: str
    files: tuple[str, ...]
    ranging: RunFacts
    testing_power: PowerSample
    ranging_power: PowerSample
    client: Document | Unread
    server: Document | Unread
    ptd_log: str | Unread
    hashes: Mapping[str, str]
    """The sha1 of the files that the client and the server have hashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFacts:
    """One result: a scenario of a model on a system."""

    system: SystemFacts
    model_name: str
    """The folder's."""
    model: str
    """The checker's."""
    folder: str
    """The scenario as its folder spells it."""
    scenario: str
    path: str
    measurements: MeasurementFacts
    run: RunFacts
    accuracy: AccuracyFacts
    power: PowerFacts | None = None
    compliance_path: str = ""
    compliance_there: bool = False
    tests: Mapping[str, TestFacts] = field(default_factory=dict)

    @property
    def closed(self) -> bool:
        """Whether the rules of the closed (or network) division hold."""
        return self.system.division in {"closed", "network"}
