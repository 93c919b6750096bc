"""What a round of MLPerf Inference may say: its rules, as a difference to the round before.

A round without `since` says everything. A later one says what it added, changed and removed; fields that
neither it nor the round before gives are not known. `definitions.catalog.rounds` puts the whole together.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from orchestrator.definitions.kinds.base import AbsolutePath, Definition, Line, Name, RelativePath, Strict
from orchestrator.definitions.kinds.checker import ByScenario, Checker, FileName, KeyByScenario, Percent
from orchestrator.facts.compliance import FAILS, PLACEHOLDERS
from orchestrator.facts.rounds import CategoryName, RuleScenario, version_key

Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*\Z", max_length=64)]
"""A name that MLPerf gave, in its own spelling: `llama3_1-8b`, `ROUGE1`, `TEST06`."""
Version = Annotated[str, StringConstraints(pattern=r"^[0-9]+(?:\.[0-9]+)*\Z", max_length=32)]
Text = Annotated[Line, StringConstraints(min_length=1, max_length=400)]
Count = Annotated[int, Field(gt=0)]
Milliseconds = Annotated[float, Field(gt=0)]
Deltas = dict[Word, Percent]
Folders = dict[FileName, tuple[FileName, ...]]
AuditKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\Z", max_length=64)]
Audit = dict[AuditKey, Annotated[int, Field(ge=0)]]
"""Settings of LoadGen, as an audit.config has them."""


class Quality(Strict):
    """What an accuracy must reach: `factor` (and `max_factor`) times a `reference`, or a bound as it is.

    A source that gives a bound alone (Stable Diffusion's FID) gives `min` and `max`, without a reference.
    """

    reference: float | None = Field(default=None, gt=0)
    factor: float | None = Field(default=None, gt=0)
    max_factor: float | None = Field(default=None, gt=0)
    minimum: float | None = Field(default=None, alias="min")
    maximum: float | None = Field(default=None, alias="max")

    @model_validator(mode="after")
    def _is_a_bound(self) -> Self:
        if self.reference is None and (self.factor is not None or self.max_factor is not None):
            raise ValueError("a factor needs the `reference` that it is a share of, or write `min` and `max`")
        if self.reference is not None and self.factor is None and self.max_factor is None:
            raise ValueError("a reference alone is no target: add the `factor` of it that a run must reach")
        if self.factor is not None and self.minimum is not None:
            raise ValueError("`factor` and `min` are both a lower bound: give one of them")
        if self.max_factor is not None and self.maximum is not None:
            raise ValueError("`max_factor` and `max` are both an upper bound: give one of them")
        if self.reference is None and self.minimum is None and self.maximum is None:
            raise ValueError("a quality target needs a `reference` and a `factor`, or `min` or `max`")
        return self


class TokenLatency(Strict):
    """Limits on the 99th percentile in milliseconds: until the first token, and for each token after it."""

    ttft: Milliseconds
    tpot: Milliseconds


class Scenarios(Strict):
    """The scenarios that a closed submission has to show in a category, and those that it may."""

    required: tuple[RuleScenario, ...] = ()
    optional: tuple[RuleScenario, ...] = ()


def _form(value: object) -> str:
    return "list" if isinstance(value, list | tuple) else "mapping"


Demand = Annotated[
    Annotated[Scenarios, Tag("mapping")] | Annotated[tuple[RuleScenario, ...], Tag("list")], Discriminator(_form)
]
"""A plain list is of required ones. The form is told apart first, so that a fault is told of the one that is meant."""


class InScenario(Strict):
    """What differs in one scenario."""

    accuracy: dict[Word, Quality] | None = None
    accuracy_samples: Count | None = None


class ModelFields(Strict):
    """Fields of a model; each one that is given replaces the one before, whole."""

    like: Name | None = None
    """Of a new model: another one, whose fields hold where none is given here."""
    title: Text | None = None
    dataset: Text | None = None
    loadgen: Word | None = None
    """What LoadGen's mlperf.conf calls the model; absent where it is not run under LoadGen."""
    loadgen_defaults: Text | None = None
    """Why it is known and right that LoadGen's conf has no entry, so that LoadGen takes its defaults."""
    scenarios: dict[CategoryName, Demand] | None = None
    """By category. Without `datacenter-edge`, a system of both categories
    runs what either of them asks for."""
    accuracy: dict[Word, Quality] | None = None
    in_scenario: dict[RuleScenario, InScenario] | None = None
    latency_ms: dict[RuleScenario, Milliseconds] | None = None
    """The checker's limit on the 99th percentile of latency."""
    token_latency_ms: dict[RuleScenario, TokenLatency] | None = None
    performance_samples: Count | None = None
    """The least that LoadGen must keep loaded (`performance_sample_count`)."""
    dataset_samples: Count | None = None
    accuracy_samples: Count | None = None
    """Samples of an accuracy test, where they are not the dataset's."""
    offline_samples: Count | None = None
    """The least in the one query of Offline, in the closed division."""
    min_queries: dict[RuleScenario, Count] | None = None
    """Where they are not the round's."""
    early_stopping: dict[RuleScenario, Count] | None = None
    """Where they are not the round's."""
    min_duration_ms: int | None = Field(default=None, ge=0)
    """Where it is not the round's; 0 for a test that is one pass over its data."""
    compliance: tuple[Word, ...] | None = None
    equal_issue: bool | None = None
    """Whether LoadGen has to issue each sample as often as any other (`sample_concatenate_permutation`)."""
    token_latencies: bool | None = None
    """Whether LoadGen has to measure the latencies of tokens (`use_token_latencies`)."""
    result_keys: KeyByScenario | None = None
    """The key of LoadGen's detail log that is the result, where it is not the round's."""
    units: ByScenario | None = None
    """Units of results, where they are not the round's."""
    accuracy_extras: Folders | None = None
    """Folder beside the accuracy logs → names, without what follows the first dot, of the files that it has to hold."""
    delta_percent: Deltas | None = None
    """By metric, how far TEST01's outputs may be from the whole, where it is not the round's."""
    audit: dict[Word, Audit] | None = None
    """By compliance test, what the audit.config of this model says else than that of others."""
    differs: dict[Text, Text] | None = None
    """Where another source says something else than the checker, which decides: the source, and what it says."""


class LoadGenEntry(Strict):
    """A name of LoadGen's mlperf.conf, with the limits that it sets for Server; without limits it has the default."""

    since: Version | None = None
    """The first version that knows it, where that is not the first one of the round."""
    latency_ms: Milliseconds | None = None
    ttft_ms: Milliseconds | None = None
    tpot_ms: Milliseconds | None = None


class LoadGen(Strict):
    """The versions that have the round's seeds and rules compiled in, ends included, and the names that they know."""

    layer: Name | None = None
    """The layer that installs one of them, for harnesses that name none of their own."""
    first: Version = Field(alias="from")
    last: Version = Field(alias="to")
    why: Text
    """Where the bounds come from."""
    not_run: Text | None = None
    """Why no test of this round can be run; results of it can be checked all the same."""
    server_latency_ms: Milliseconds | None = None
    """Server's limit for a name that has none of its own, or that the conf does not know."""
    knows: dict[Word, LoadGenEntry] = Field(default_factory=dict)
    """Names that are new since the round before."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if version_key(self.first) > version_key(self.last):
            raise ValueError(f"`from` {self.first} is after `to` {self.last}")
        if self.layer is not None and self.not_run is not None:
            raise ValueError("`layer` is what tests are run with, and `not_run` says that none are: give one of them")
        return self


class Seeds(Strict):
    """The random seeds of a round, under LoadGen's names."""

    qsl_rng_seed: int = Field(ge=0)
    sample_index_rng_seed: int = Field(ge=0)
    schedule_rng_seed: int = Field(ge=0)


_PLACEHOLDER = re.compile(r"\{(\w*)\}")


class ComplianceTest(Strict):
    """How a compliance test is made, and how MLCommons' own script judges it."""

    audit: Audit = Field(min_length=1)
    """What LoadGen's audit.config says, in whatever scenario; `audit` of a model says what it says else."""
    compared_with: tuple[Literal["accuracy", "performance"], ...] = Field(min_length=1)
    """The tests of the same scenario whose logs the script reads."""
    command: tuple[Line, ...] = Field(min_length=1)
    """The script and its arguments: `{scripts}` is the folder of `compliance`, `{results}` that of the tests which it
    is compared with (as a submission has them), `{test}` that of the test itself, `{output}` where the script writes,
    `{dtype}` what an answer consists of, `{scenario}` the scenario of the test."""
    files: tuple[RelativePath, ...] = Field(min_length=1)
    """What the script leaves below its folder in `{output}`: what a submission needs of this test."""
    passes: dict[RelativePath, Line] = Field(min_length=1)
    """Of these files, the line that each has to have where the test is passed."""
    fails: tuple[Line, ...] = Field(default=FAILS, min_length=1)
    """How the lines begin that say why it is not passed."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for word in self.command:
            for name in _PLACEHOLDER.findall(word):
                if name not in PLACEHOLDERS:
                    raise ValueError(f"`{{{name}}}` of `command` is none of {', '.join(sorted(PLACEHOLDERS))}")
        for name in self.passes:
            if name not in self.files:
                raise ValueError(f"`{name}` of `passes` is none of `files`")
        return self


class Compliance(Strict):
    """MLCommons' scripts at the round's commit, and the compliance tests that mlorch can make with them."""

    layer: Name
    """The side image that has the scripts."""
    scripts: AbsolutePath
    """Their folder in that image."""
    tests: dict[Word, ComplianceTest] = Field(default_factory=dict)
    """Tests that are new since the round before, or made otherwise, each whole."""


class Round(Definition):
    """The rules of a round of MLPerf Inference, as a difference to the round `since`."""

    kind: Literal["round"]
    since: Name | None = None
    sources: dict[Name, Text] = Field(min_length=1)
    """Where the facts of this file come from, once for all of them."""
    loadgen: LoadGen
    seeds: Seeds
    min_duration_ms: Count | None = None
    min_queries: dict[RuleScenario, Count] | None = None
    """The checker's, which hold where a test ends without early stopping."""
    early_stopping: dict[RuleScenario, Count] | None = None
    """The least queries from which LoadGen's early stopping can tell the percentile that decides."""
    offline_samples: Count | None = None
    """The least in the one query of Offline, for a workload that is no model of the round."""
    one_of: tuple[RuleScenario, ...] | None = None
    """Where a model has all of these as optional scenarios, a closed submission has to show one of them."""
    checker: Checker | None = None
    """The submission checker: the layout of a tree, its files and fields, the summary."""
    metrics: dict[Word, Text] = Field(default_factory=dict)
    """Names of accuracy metrics, as the checker spells them, and what each one is."""
    compliance_tests: dict[Word, Text] = Field(default_factory=dict)
    """Names of compliance tests, and what each one shows."""
    compliance: Compliance | None = None
    """How compliance tests are made and verified, where it is not as in the round before."""
    added: dict[Name, ModelFields] = Field(default_factory=dict)
    """New models, under the checker's names."""
    changed: dict[Name, ModelFields] = Field(default_factory=dict)
    removed: tuple[Name, ...] = ()
