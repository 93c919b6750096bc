"""What a round's file may say of MLPerf's submission checker: `checker:`, a difference to the round before.

Each field of `layout`, `files`, `limits` and `fields` and each entry of a mapping stands for itself; a list replaces
the one before, whole. `facts.checker_rules` says what the fields mean.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from orchestrator.definitions.kinds.base import Commit, GitUrl, Line, Name, RelativePath, Strict
from orchestrator.definitions.kinds.texts import ValuePattern
from orchestrator.facts.checker_rules import Answer, Check
from orchestrator.facts.rounds import RuleScenario

Label = Annotated[Line, StringConstraints(min_length=1, max_length=120)]
"""A unit, a status, a part of a message, as the checker spells it."""
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*\Z", max_length=120)]
"""Of a JSON file, of LoadGen's detail log or of the summary."""
FileName = Annotated[str, StringConstraints(pattern=r"^\.?[A-Za-z0-9][A-Za-z0-9._-]*\Z", max_length=120)]
Place = Annotated[
    str,
    StringConstraints(
        pattern=r"^(?!(?:.*/)?\.\.?(?:/|\Z))(?:(?:[A-Za-z0-9_.-]|\{(?:division|submitter|system|model|scenario)\})+(?:/(?!\Z)|\Z))+\Z",
        max_length=200,
    ),
]
"""A path below the root of a tree."""
NamePattern = Annotated[str, StringConstraints(pattern=r"^(?:[A-Za-z0-9_.-]|\{system\})*\*?[A-Za-z0-9_.-]+\Z")]
ByScenario = dict[RuleScenario, Label]
KeyByScenario = dict[RuleScenario, Key]
Percent = Annotated[float, Field(gt=0, le=100)]
Bytes = Annotated[int, Field(gt=0)]
Checks = dict[Check, Answer]
AccuracyLines = dict[Key, ValuePattern]


class CheckerProgram(Strict):
    """The checker itself, as it was before the results of the round were published."""

    repository: GitUrl
    commit: Commit
    path: RelativePath
    layer: Name | None = None
    """The side image that has it, at that commit."""
    skips: dict[Check, Annotated[str, StringConstraints(pattern=r"^--[a-z-]+\Z", max_length=80)]] | None = None
    """Rules that it can be told not to look at, and the option that says so."""


class TreeLayout(Strict):
    """Where a tree has what."""

    results: Place | None = None
    system: Place | None = None
    measurements: Place | None = None
    measurements_json: NamePattern | None = None
    """Its name, or how it begins and ends on both sides of a `*`."""
    compliance: Place | None = None
    code: Place | None = None
    calibration: tuple[Place, ...] | None = None
    """One of these has to be there."""
    model_mapping: Place | None = None
    nameplate_power: Place | None = None


class TreeFiles(Strict):
    """The files of each folder."""

    performance: tuple[FileName, ...] | None = None
    performance_optional: tuple[FileName, ...] | None = None
    power_run: tuple[FileName, ...] | None = None
    """With power: in the performance and ranging folders too."""
    power: tuple[FileName, ...] | None = None
    accuracy: tuple[FileName, ...] | None = None
    measurements: tuple[FileName, ...] | None = None
    power_settings: tuple[FileName, ...] | None = None
    """How the names begin; each has to be in the measurements' folder or in one of the three above it."""
    compliance_performance: tuple[FileName, ...] | None = None
    compliance_accuracy: tuple[FileName, ...] | None = None
    compliance_accuracy_differs: tuple[FileName, ...] | None = None
    """Besides those, where the outputs of TEST01 are not equal to the letter."""
    ignored: tuple[FileName, ...] | None = None


class SizeLimits(Strict):
    """How large a file may be."""

    file_bytes: Bytes | None = None
    accuracy_log_bytes: Bytes | None = None


class JsonFields(Strict):
    """The keys that a JSON file has to have."""

    system: tuple[Key, ...] | None = None
    system_filled: tuple[Key, ...] | None = None
    """Of those: they must say something."""
    system_network: tuple[Key, ...] | None = None
    """Of a system over a network besides."""
    system_power: tuple[Key, ...] | None = None
    """Known; nobody asks for them."""
    measurements: tuple[Key, ...] | None = None


class ComplianceFolder(Strict):
    """What the folder of a compliance test has to hold."""

    verdicts: tuple[FileName, ...] = Field(min_length=1)
    """Files that must say that the test passed."""
    performance: bool = False
    """Whether it has a `performance/run_1` that is judged as a performance test is."""
    accuracy: bool = False
    """Whether it has an `accuracy` folder; then the outputs may differ a little."""
    lines: tuple[tuple[Label, ...], ...] = (("TEST PASS",),)
    """Of each group one text has to stand in a verdict."""


class InferredResult(Strict):
    """A scenario whose result may be computed from another one that was run."""

    scenario: RuleScenario
    run: RuleScenario


class PowerSessionRules(Strict):
    """What the checker accepts of a session of MLCommons' power client."""

    clients: tuple[Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16,64}\Z")], ...] | None = None
    """Beginnings of the sha256 of the lists of sources (as JSON, sorted) of the clients that it accepts."""
    ptdaemon: tuple[Label, ...] | None = None
    """Versions of PTDaemon."""
    amperes_reset: tuple[Annotated[int, Field(gt=0)], ...] | None = None
    """Which commands for the range of amperes may be the one that puts it back, from 1."""


class EqualIssueRules(Strict):
    """How the checker sees that samples were issued equally often, of models with `equal_issue`."""

    divisions: tuple[Key, ...] | None = None
    """Those in which it looks."""
    conf_files: tuple[FileName, ...] | None = None
    """Files of the measurements of which one has to set it, in place of LoadGen's log."""


class EndpointsResults(Strict):
    """Results of MLCommons' endpoints client instead of LoadGen."""

    models: tuple[FileName, ...] | None = None
    """That may be run so."""
    result_keys: KeyByScenario | None = None
    tests: dict[Key, Key] | None = None
    """Compliance test → the name of its `audit/audit_NAME.json`."""
    output_tokens: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] | None = None
    """TEST09: the least and the most of the mean number of generated tokens."""


class Checker(Strict):
    """What the checker asks for, apart from the figures of the models."""

    program: CheckerProgram | None = None
    divisions: tuple[Key, ...] | None = None
    statuses: tuple[Label, ...] | None = None
    system_types: tuple[Label, ...] | None = None
    scenarios: tuple[RuleScenario, ...] | None = None
    """Known ones; a folder may have its name in lower case."""
    root_folders: tuple[FileName, ...] | None = None
    """Beside the divisions, without a word."""
    layout: TreeLayout | None = None
    files: TreeFiles | None = None
    limits: SizeLimits | None = None
    fields: JsonFields | None = None
    network_sut: Label | None = None
    """What the SUT's name has to contain, of a system over a network."""
    columns: tuple[Key, ...] | None = None
    """Of the summary."""
    summary_form: Literal["script", "package"] | None = None
    """Whose form the summary has: that of the script, or of the package which took its place in v6.0."""
    whole_models: bool | None = None
    """Whether a closed model with a scenario too few or too many shows no result at all."""
    open_forgives: tuple[Key, ...] | None = None
    """Rules of accuracy tests that refuse nothing in the open division, once a figure is shown."""
    offline_divisions: tuple[Key, ...] | None = None
    """Divisions in which `offline_samples` hold."""
    units: ByScenario | None = None
    units_by: Literal["folder", "model"] | None = None
    """Whether a model's own units are looked for by the folder's name, or by the model that it is of."""
    power_units: ByScenario | None = None
    power_session: PowerSessionRules | None = None
    result_keys: KeyByScenario | None = None
    """The key of LoadGen's detail log that is the result of a scenario; of Interactive without one it is Server's."""
    accuracy_lines: AccuracyLines | None = None
    """By metric, how its line of `accuracy.txt` reads from the beginning; the group is the value."""
    accuracy_column: Literal["number", "named"] | None = None
    """How the summary has the accuracy: the last figure alone, which is all that counts then, or each with its name."""
    forgiven_errors: tuple[Label, ...] | None = None
    """Parts of LoadGen's errors that are let pass in an exception that MLCommons grants."""
    inferred: tuple[InferredResult, ...] | None = None
    inferred_samples: int | None = Field(default=None, gt=0)
    """Samples of a query of MultiStream that is computed from SingleStream."""
    aliases: dict[FileName, FileName] | None = None
    """Another name of a model → the checker's."""
    guesses: dict[FileName, FileName] | None = None
    """Part of a folder's name → model, the first that fits, where nothing else says which model it is."""
    equal_issue: EqualIssueRules | None = None
    token_limits: tuple[RuleScenario, ...] | None = None
    """Scenarios in which the latencies of tokens are limited; the streams are held to Server's."""
    limits_by: Literal["shown", "run"] | None = None
    """Whose limits a test is held to: of the scenario that it is shown as, or that LoadGen ran."""
    tests: dict[Key, ComplianceFolder] | None = None
    endpoints: EndpointsResults | None = None
    compliance_accuracy: Literal["always", "differs"] | None = None
    """When TEST01 needs its `accuracy` folder: always, or where the outputs are not equal to the letter."""
    delta_percent: Percent | None = None
    """How far the accuracy of TEST01's outputs may be from the whole, in percent of it."""
    delta_by: Literal["letter", "metric"] | None = None
    """Whether a model's `delta_percent` is looked up by the metric, or by its first letter and so never found."""
    delta_percent_high: Percent | None = None
    """The same of the models whose name ends with `99.9`."""
    test05_seeds: dict[Key, int] | None = None
    checks: Checks | None = None
    """What the round's own checker does where a rule is broken; what is not said is refused."""
