"""The rules of a round of MLPerf Inference, whole: frozen values for listing, running and submitting."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.facts.checker_rules import CheckerRules

RuleScenario = Literal["SingleStream", "MultiStream", "Server", "Interactive", "Offline"]
"""As the checker spells them. Interactive is LoadGen's Server under another name and stricter limits."""
CategoryName = Literal["datacenter", "edge", "datacenter-edge"]
"""As the checker spells them; the last one is of a system that is submitted in both categories."""
CATEGORIES: tuple[str, ...] = get_args(CategoryName)
INTERACTIVE = "-interactive"
"""What LoadGen's names of Interactive end with."""


class QualityTarget(NamedTuple):
    """A metric and its bounds, ends included; ``reference`` and the factors where the bounds are shares of it."""

    metric: str
    minimum: float | None = None
    maximum: float | None = None
    reference: float | None = None
    factor: float | None = None
    max_factor: float | None = None

    def document(self) -> dict[str, float | None]:
        """Its JSON, without the name."""
        return {
            "min": self.minimum,
            "max": self.maximum,
            "reference": self.reference,
            "factor": self.factor,
            "max_factor": self.max_factor,
        }


class LatencyLimit(NamedTuple):
    """Limits on the 99th percentile in milliseconds; ttft and tpot are of the first and of each later token."""

    latency_ms: float | None = None
    ttft_ms: float | None = None
    tpot_ms: float | None = None

    def document(self) -> dict[str, float]:
        """The limits that there are."""
        found = {"latency_ms": self.latency_ms, "ttft_ms": self.ttft_ms, "tpot_ms": self.tpot_ms}
        return {name: value for name, value in found.items() if value is not None}


class ScenarioRules(NamedTuple):
    """What a category asks for."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)

    def document(self) -> dict[str, list[str]]:
        """Its JSON."""
        return {"required": list(self.required), "optional": list(self.optional)}


class ModelSubmission(NamedTuple):
    """What the checker asks of a model's results in a tree, besides figures."""

    equal_issue: bool = False
    """Whether each sample has to be issued as often as any other."""
    token_latencies: bool = False
    result_keys: Mapping[str, str] = MappingProxyType({})
    """By scenario, the key of LoadGen's detail log that is the result; the round's are in it."""
    units: Mapping[str, str] = MappingProxyType({})
    """By scenario, of results; the round's are in it."""
    accuracy_extras: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """Folder beside the accuracy logs → names, without what follows the first dot, of the files that it has to hold."""
    delta_percent: Mapping[str, float] = MappingProxyType({})
    """By metric, how far TEST01's outputs may be from the whole."""

    def in_tokens(self, scenario: str) -> bool:
        """Whether the result of a scenario is a rate of tokens, whatever the checker's table of units says."""
        run = "Server" if scenario == "Interactive" else scenario
        return "tokens_per_second" in self.result_keys.get(run, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRules:
    """The rules of one model in one round; None and absent keys are what no source gives."""

    name: str
    """The checker's; the folder of a submission."""
    title: str
    dataset: str
    loadgen_name: str | None
    loadgen_defaults: str
    """Why LoadGen's defaults are meant where its conf has no entry; empty where it has one."""
    scenarios: Mapping[str, ScenarioRules]
    """By category, each of `CATEGORIES`."""
    accuracy: tuple[QualityTarget, ...]
    accuracy_in: Mapping[str, tuple[QualityTarget, ...]]
    """Of the scenarios that have targets of their own."""
    accuracy_samples: int | None
    accuracy_samples_in: Mapping[str, int]
    performance_samples: int
    dataset_samples: int | None
    offline_samples: int | None
    min_queries: Mapping[str, int]
    early_stopping: Mapping[str, int]
    """By scenario, the least queries from which LoadGen's early stopping can tell the percentile that decides."""
    min_duration_ms: int
    limits: Mapping[str, LatencyLimit]
    """The checker's, by scenario."""
    loadgen_limits: Mapping[str, LatencyLimit]
    """What LoadGen's conf sets for the scenarios that run as its Server."""
    compliance: tuple[str, ...]
    audit: Mapping[str, Mapping[str, int]]
    """By compliance test, what LoadGen's audit.config says of this model alone."""
    differs: Mapping[str, str]
    submission: ModelSubmission

    @property
    def categories(self) -> tuple[str, ...]:
        """Those of `datacenter` and `edge` that the model can be submitted in."""
        return tuple(name for name in ("datacenter", "edge") if self.scenarios[name].all)

    @property
    def all_scenarios(self) -> tuple[str, ...]:
        """Those of any category, in the order of `RuleScenario`."""
        found = {name for rules in self.scenarios.values() for name in rules.all}
        return tuple(name for name in get_args(RuleScenario) if name in found)

    def accuracy_of(self, scenario: str) -> tuple[QualityTarget, ...]:
        """The targets of a scenario."""
        return self.accuracy_in.get(scenario, self.accuracy)

    def loadgen_name_of(self, scenario: str) -> str | None:
        """The name that LoadGen is given in a scenario; None where the model is not run under LoadGen."""
        if self.loadgen_name is None:
            return None
        return f"{self.loadgen_name}{INTERACTIVE}" if scenario == "Interactive" else self.loadgen_name

    def document(self) -> dict[str, Any]:
        """The JSON of the rules."""
        return {
            "loadgen_name": self.loadgen_name,
            "checker_name": self.name,
            "categories": list(self.categories),
            "scenarios": {category: rules.document() for category, rules in self.scenarios.items()},
            "accuracy": _targets(self.accuracy),
            "accuracy_in": {scenario: _targets(targets) for scenario, targets in self.accuracy_in.items()},
            "compliance": list(self.compliance),
            "latency_limits": {scenario: limit.document() for scenario, limit in self.limits.items()},
            "loadgen_latency_limits": {name: limit.document() for name, limit in self.loadgen_limits.items()},
            "performance_samples": self.performance_samples,
            "dataset": self.dataset,
            "dataset_samples": self.dataset_samples,
            "accuracy_samples": self.accuracy_samples,
            "accuracy_samples_in": dict(self.accuracy_samples_in),
            "offline_samples": self.offline_samples,
            "min_queries": dict(self.min_queries),
            "early_stopping": dict(self.early_stopping),
            "min_duration_ms": self.min_duration_ms,
            "loadgen_defaults": self.loadgen_defaults or None,
            "differs": dict(self.differs),
        }


def _targets(targets: tuple[QualityTarget, ...]) -> dict[str, Any]:
    return {target.metric: target.document() for target in targets}


class ComplianceRules(NamedTuple):
    """How a compliance test is made and verified; ``audit`` of a model says what differs for it."""

    audit: Mapping[str, int]
    compared_with: tuple[str, ...]
    command: tuple[str, ...]
    files: tuple[str, ...]
    passes: Mapping[str, str]
    fails: tuple[str, ...]


class OfficialTest(NamedTuple):
    """How long a round asks a performance test to be."""

    round: str
    min_duration_ms: int
    """0 for one pass over the data."""
    min_queries: Mapping[str, int]
    """By scenario: of queries what early stopping needs, of Offline the samples in its one query."""


def version_key(version: str) -> tuple[int, ...]:
    """The release of a version, for comparing: ``4.1`` comes before ``4.1.7``, and ``6.0.17+ours`` is ``6.0.17``."""
    release = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(int(part) for part in release.group().split(".")) if release is not None else ()


class LoadGenRules(NamedTuple):
    """The LoadGen that a round accepts: its versions, ends included, and the model names of its mlperf.conf."""

    first: str
    last: str
    why: str
    layer: str = ""
    """The layer that installs one of these; empty where the round names none."""
    not_run: str = ""
    """Why no test of the round can be run; empty where one can."""
    server_latency_ms: float | None = None
    knows: Mapping[str, LatencyLimit] = MappingProxyType({})
    since: Mapping[str, str] = MappingProxyType({})
    """Of the names that are younger than ``first``: the first version that knows them."""

    @property
    def range(self) -> str:
        """For people."""
        return f"{self.first} to {self.last}"

    def accepts(self, version: str) -> bool:
        """Whether a version of LoadGen is one of these; of a local build (``6.0.17+ours``) its release counts."""
        return version_key(self.first) <= version_key(version) <= version_key(self.last)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRules:
    """The rules of a round; ``models`` by the checker's name, in the order in which rounds added them."""

    name: str
    title: str
    since: tuple[str, ...]
    """The rounds that it builds on, the nearest first."""
    sources: Mapping[str, str]
    loadgen: LoadGenRules
    seeds: Mapping[str, int]
    min_duration_ms: int
    early_stopping: Mapping[str, int]
    """As of a model, where it says nothing else."""
    offline_samples: int | None
    """The least in Offline's one query of a workload that is no model of the round."""
    one_of: tuple[str, ...]
    metrics: Mapping[str, str]
    compliance_tests: Mapping[str, str]
    """What each compliance test shows."""
    checker: CheckerRules
    models: Mapping[str, ModelRules]
    compliance_layer: str = ""
    """The layer with MLCommons' scripts at the round's commit; empty where no round names one."""
    compliance: Mapping[str, ComplianceRules] = field(default_factory=dict)
    """The compliance tests that mlorch can make, and how."""

    def needed_of(self, scenarios: ScenarioRules) -> tuple[str, ...]:
        """The optional scenarios of which a closed submission has to show one; empty where it need not."""
        return self.one_of if self.one_of and set(self.one_of) <= set(scenarios.optional) else ()

    def official(self, model: str) -> OfficialTest:
        """What an official performance test of a model is; of another workload what holds for all models."""
        rules = self.models.get(model)
        offline = rules.offline_samples if rules is not None else self.offline_samples
        queries = dict(rules.early_stopping if rules is not None else self.early_stopping)
        if offline is not None:
            queries["Offline"] = offline
        duration = rules.min_duration_ms if rules is not None else self.min_duration_ms
        return OfficialTest(round=self.name, min_duration_ms=duration, min_queries=queries)

    def document(self) -> dict[str, Any]:
        """The JSON of what holds for all models."""
        return {
            "title": self.title,
            "since": self.since[0] if self.since else None,
            "sources": dict(self.sources),
            "loadgen": {
                "from": self.loadgen.first,
                "to": self.loadgen.last,
                "why": self.loadgen.why,
                "layer": self.loadgen.layer or None,
            },
            "seeds": dict(self.seeds),
            "min_duration_ms": self.min_duration_ms,
            "one_of": list(self.one_of),
        }
