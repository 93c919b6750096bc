"""Where the files of a result stand in the tree of a round. Pure.

Sources: mlcommons/inference at e20506b2, tools/submission/submission_checker.py (v5.1); at b66003e1,
tools/submission/submission_checker/constants.py (`*_PATH`) and submission_structure.md (v6.0, v6.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.errors import UsageError

IMPLEMENTATION = "mlorch"
"""The part of a code's path, and of the names of v5.1's measurements, that says whose implementation it is."""
CALIBRATION = "documentation/calibration.md"
MODEL_MAPPING = "model_mapping.json"
RESULTS = "results"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a round lays out a submitter's folder.

    ``measurements`` is the folder beside `results` that describes them; empty where they describe themselves.
    """

    measurements: str
    measurement_file: str
    code: str

    def results_of(self, place: Place) -> str:
        """The folder of a result's logs."""
        return f"{RESULTS}/{place.path}"

    def description_of(self, place: Place) -> str:
        """The folder of what describes a result: user.conf, README.md, the measurements."""
        return f"{self.measurements or RESULTS}/{place.path}"

    def measurements_of(self, place: Place) -> str:
        """The file of a result's measurements."""
        name = self.measurement_file.format(system=place.system, implementation=IMPLEMENTATION, scenario=place.scenario)
        return f"{self.description_of(place)}/{name}"

    def code_of(self, model: str) -> str:
        """The folder that says what ran."""
        return f"{self.code}/{model}/{IMPLEMENTATION}"

    def units_of(self, place: Place) -> tuple[str, ...]:
        """The folders that are a result's own; the last one makes it count."""
        return tuple(dict.fromkeys((self.description_of(place), self.results_of(place))))


_APART = Layout(measurements="measurements", measurement_file="{system}_{implementation}_{scenario}.json", code="code")
_TOGETHER = Layout(measurements="", measurement_file="measurements.json", code="src")
LAYOUTS = {"v5.0": _APART, "v5.1": _APART, "v6.0": _TOGETHER, "v6.1": _TOGETHER}


def layout_of(round_name: str) -> Layout:
    """The layout of a round. Raises `UsageError` [round-tree] where no tree of it can be built."""
    if round_name not in LAYOUTS:
        raise UsageError(
            f"no tree of round {round_name} can be built",
            hint=f"trees are built for {', '.join(LAYOUTS)}",
            slug="round-tree",
        )
    return LAYOUTS[round_name]
