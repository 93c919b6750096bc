"""What MLPerf's submission checker of a round asks of a tree, apart from the figures of the models: frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

Answer = Literal["refuse", "tell", "skip"]
"""What the checker does where a rule is broken: it takes no result, it tells and takes it, it does not look."""
Check = Literal[
    "root-files",
    "division-files",
    "links",
    "broken-links",
    "file-size",
    "hidden-names",
    "spaces",
    "pycache",
    "empty-folders",
    "unused-systems",
    "calibration",
    "system-filled",
    "scenario",
    "measurements",
    "measurements-filled",
    "power-settings",
    "accuracy-files",
    "accuracy-extras",
    "accuracy-samples",
    "accuracy-errors",
    "open-accuracy",
    "performance-files",
    "validity",
    "validity-tokens",
    "loadgen-errors",
    "seeds",
    "early-stopping",
    "latency",
    "latency-99",
    "token-latency",
    "min-queries",
    "offline-samples",
    "min-duration",
    "equal-issue",
    "inferred",
    "power-files",
    "power-check",
]
"""The rules that rounds treat differently; docs/rounds.md says what each one is."""
CHECKS: tuple[str, ...] = get_args(Check)


class Program(NamedTuple):
    """The checker itself: a file of one commit, or a folder with a package."""

    repository: str
    commit: str
    path: str
    layer: str = ""
    """The side image that has the repository, or as much of it as the checker needs."""
    skips: Mapping[str, str] = {}
    """Rules that it can be told not to look at, and the option that says so."""


class Layout(NamedTuple):
    """Where a tree has what, with `{division}`, `{submitter}`, `{system}`, `{model}` and `{scenario}`."""

    results: str = ""
    """The folder of one result: `accuracy/`, `performance/run_1/`, `performance/power/`, `performance/ranging/`."""
    system: str = ""
    measurements: str = ""
    """A folder."""
    measurements_json: str = ""
    """A file of that folder: its name, or how it begins and ends on both sides of a `*`."""
    compliance: str = ""
    """The folder with one folder for each compliance test."""
    code: str = ""
    calibration: tuple[str, ...] = ()
    """One of these; none is asked for where there is no name."""
    model_mapping: str = ""
    nameplate_power: str = ""


class Files(NamedTuple):
    """The files of each folder."""

    performance: tuple[str, ...] = ()
    performance_optional: tuple[str, ...] = ()
    power_run: tuple[str, ...] = ()
    """With power: in the performance and ranging folders too."""
    power: tuple[str, ...] = ()
    accuracy: tuple[str, ...] = ()
    measurements: tuple[str, ...] = ()
    power_settings: tuple[str, ...] = ()
    """Beginnings of names, of which each has to be in the measurements' folder or in one of the three above it."""
    compliance_performance: tuple[str, ...] = ()
    compliance_accuracy: tuple[str, ...] = ()
    compliance_accuracy_differs: tuple[str, ...] = ()
    """Besides those, where the outputs of TEST01 are not equal to the letter."""
    ignored: tuple[str, ...] = ()
    """Never too many."""


class Limits(NamedTuple):
    """How large a file may be, in bytes."""

    file_bytes: int = 0
    accuracy_log_bytes: int = 0


class Fields(NamedTuple):
    """The keys of the system's and the measurements' JSON."""

    system: tuple[str, ...] = ()
    system_filled: tuple[str, ...] = ()
    """Of those: they must say something."""
    system_network: tuple[str, ...] = ()
    """Of a system over a network besides."""
    system_power: tuple[str, ...] = ()
    """Known; nobody asks for them."""
    measurements: tuple[str, ...] = ()


class ComplianceFiles(NamedTuple):
    """What the folder of a compliance test has to hold."""

    verdicts: tuple[str, ...] = ()
    """Files that must say that the test passed."""
    performance: bool = False
    """Whether it has a `performance/run_1` that is judged as a performance test is."""
    accuracy: bool = False
    """Whether it has an `accuracy` folder; its outputs may differ by the model's `delta_percent`."""
    lines: tuple[tuple[str, ...], ...] = (("TEST PASS",),)
    """Of each group one text has to stand in a verdict."""


class Inferred(NamedTuple):
    """A scenario whose result may be computed from another one."""

    scenario: str
    run: str
    """The one that was run."""


class PowerSession(NamedTuple):
    """What the checker accepts of a session of the power client."""

    clients: tuple[str, ...] = ()
    """Beginnings of the sha256 of the lists of sources (JSON, sorted) of the clients that MLCommons accepts."""
    ptdaemon: tuple[str, ...] = ()
    """Versions."""
    amperes_reset: tuple[int, ...] = ()
    """Which commands for the range of amperes may be the one that puts it back, from 1."""


class EqualIssue(NamedTuple):
    """How the checker sees that samples were issued equally often, of the models that have to."""

    divisions: tuple[str, ...] = ()
    """Those in which it looks."""
    conf_files: tuple[str, ...] = ()
    """Files of the measurements of which one has to set it; the log says it where there is no name."""


class Endpoints(NamedTuple):
    """Results of MLCommons' endpoints client instead of LoadGen."""

    models: tuple[str, ...] = ()
    """That may be run so."""
    result_keys: Mapping[str, str] = MappingProxyType({})
    tests: Mapping[str, str] = MappingProxyType({})
    """Compliance test → the name of its `audit/audit_NAME.json`."""
    output_tokens: tuple[float, ...] = ()
    """TEST09: the least and the most of the mean number of generated tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckerRules:
    """The rules of the checker of a round; empty where its files say nothing."""

    program: Program | None = None
    divisions: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    system_types: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    """Known ones; a folder may have its name in lower case."""
    root_folders: tuple[str, ...] = ()
    """Beside the divisions, without a word."""
    layout: Layout = field(default_factory=Layout)
    files: Files = field(default_factory=Files)
    limits: Limits = field(default_factory=Limits)
    fields: Fields = field(default_factory=Fields)
    network_sut: str = ""
    """What the SUT's name has to contain, of a system over a network."""
    columns: tuple[str, ...] = ()
    """Of the summary."""
    summary_form: Literal["script", "package"] = "script"
    """Whose form the summary has: the script's, or that of the package which took its place in v6.0."""
    whole_models: bool = False
    """Whether a model that lacks a scenario shows no result, and one with a scenario too many neither."""
    open_forgives: tuple[str, ...] = ()
    """Rules of accuracy tests that refuse nothing in the open division, once a figure is shown."""
    offline_divisions: tuple[str, ...] = ()
    """Divisions in which Offline's query has a least number of samples."""
    units: Mapping[str, str] = field(default_factory=dict)
    """By scenario; a model may have its own."""
    units_by: Literal["folder", "model"] = "model"
    """Whose own: those of the model that the folder is called as, or of the one that it is of."""
    power_units: Mapping[str, str] = field(default_factory=dict)
    power_session: PowerSession = field(default_factory=PowerSession)
    result_keys: Mapping[str, str] = field(default_factory=dict)
    """By the scenario that LoadGen ran, the key of its detail log that is the result; a model may have its own."""
    accuracy_lines: Mapping[str, str] = field(default_factory=dict)
    """By metric, a pattern (`facts.patterns`) of a line of `accuracy.txt`, from its start; the value is its group."""
    accuracy_column: Literal["number", "named"] = "named"
    """How the summary has it: the last figure alone, which is all that counts then, or each with its metric."""
    forgiven_errors: tuple[str, ...] = ()
    """Parts of LoadGen's errors that are let pass in an exception that MLCommons grants."""
    inferred: tuple[Inferred, ...] = ()
    inferred_samples: int = 8
    """Samples of a query of MultiStream that is computed from SingleStream."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names of models."""
    guesses: Mapping[str, str] = field(default_factory=dict)
    """Part of a folder's name → model, the first that fits, where nothing else says which model it is."""
    equal_issue: EqualIssue = field(default_factory=EqualIssue)
    token_limits: tuple[str, ...] = ()
    """Scenarios in which the latencies of tokens are limited; the streams are held to Server's."""
    limits_by: Literal["shown", "run"] = "shown"
    """Whose limits the checker holds a test to: of the scenario that it is shown as, or that LoadGen ran."""
    tests: Mapping[str, ComplianceFiles] = field(default_factory=dict)
    endpoints: Endpoints = field(default_factory=Endpoints)
    compliance_accuracy: Literal["always", "differs"] = "always"
    """When TEST01 needs its `accuracy` folder: always, or where the outputs are not equal to the letter."""
    delta_percent: float = 0
    """How far the accuracy of TEST01's outputs may be from the whole, in percent of it."""
    delta_by: Literal["letter", "metric"] = "letter"
    """Whether it looks up a metric's own by its name, or by its first letter and so never finds it."""
    delta_percent_high: float = 0
    """The same of the `-99.9` models."""
    test05_seeds: Mapping[str, int] = field(default_factory=dict)
    checks: Mapping[str, Answer] = field(default_factory=dict)
    """By rule, where a round says it; all that is not said is refused."""

    def answer(self, check: str) -> Answer:
        """What the round's own checker does where a rule of `CHECKS` is broken."""
        return self.checks.get(check, "refuse")

    def looks_at(self, check: str) -> bool:
        """Whether it looks at a rule of `CHECKS` at all."""
        return self.answer(check) != "skip"
