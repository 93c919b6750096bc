"""Where the files of a result stand in a round's tree: its checker's templates, from the submitter's folder. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.submissions.places import before, filled

if TYPE_CHECKING:
    from orchestrator.facts import checker_rules

IMPLEMENTATION = "mlorch"
"""The part of a code's path, and of the names of v5.1's measurements, that says whose implementation it is."""
CALIBRATION = "documentation/calibration.md"
MODEL_MAPPING = "model_mapping.json"
BUILT = ("v5.0", "v5.1", "v6.0", "v6.1")
"""Rounds of which trees are built; those before ask for an mlperf.conf beside each result."""
_SUBMITTER = "{division}/{submitter}/"
FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What may become the name of a folder in a tree: a record may be anybody's, and so may what is typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A result in a tree: the names of its folders."""

    system: str
    model: str
    scenario: str

    @property
    def path(self) -> str:
        return f"{self.system}/{self.model}/{self.scenario}"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a round lays out a submitter's folder, by the templates of its checker; paths are given from that folder."""

    rules: checker_rules.Layout

    def system_of(self, name: str) -> str:
        """The file that describes a system."""
        return _of_submitter(filled(self.rules.system, system=name))

    def results_of(self, place: Place) -> str:
        """The folder of a result's logs."""
        return self._at(self.rules.results, place)

    def description_of(self, place: Place) -> str:
        """The folder of what describes a result: user.conf, README.md, the measurements."""
        return self._at(self.rules.measurements, place)

    def measurements_of(self, place: Place) -> str:
        """The file of a result's measurements; where its name is free, it says whose implementation ran and how."""
        begin, free, end = filled(self.rules.measurements_json, system=place.system).partition("*")
        name = f"{begin}_{IMPLEMENTATION}_{place.scenario}{end}" if free else begin
        return f"{self.description_of(place)}/{name}"

    def compliance_of(self, place: Place) -> str:
        """The folder of a result's compliance tests, each in one of its name."""
        return self._at(self.rules.compliance, place)

    def code_of(self, model: str) -> str:
        """The folder that says what ran."""
        return f"{_of_submitter(before(self.rules.code, 'model'))}/{model}/{IMPLEMENTATION}"

    def units_of(self, place: Place, *, with_tests: bool) -> tuple[str, ...]:
        """The folders that are a result's own; the last one makes it count."""
        tests = (self.compliance_of(place),) if with_tests else ()
        return tuple(dict.fromkeys((self.description_of(place), *tests, self.results_of(place))))

    def _at(self, template: str, place: Place) -> str:
        return _of_submitter(filled(template, system=place.system, model=place.model, scenario=place.scenario))


def _of_submitter(path: str) -> str:
    return path.removeprefix(_SUBMITTER)


def require_built(round_name: str) -> None:
    """Raises `UsageError` [round-tree] where no tree of a round can be built."""
    if round_name not in BUILT:
        raise UsageError(
            f"no tree of round {round_name} can be built",
            hint=f"trees are built for {', '.join(BUILT)}",
            slug="round-tree",
        )
