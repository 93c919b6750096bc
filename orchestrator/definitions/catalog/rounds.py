"""Rounds as a whole: each is the round before it with what it changed. Pure over the catalogue.

`Catalog.round_rules` gives the frozen rules of a round; `catalog.check_rounds` finds what cannot be meant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from orchestrator.definitions.kinds.recipes import Harness
from orchestrator.definitions.kinds.rounds import ModelFields, Round, Scenarios, version_key
from orchestrator.definitions.locks import normalised
from orchestrator.definitions.yaml import nearest
from orchestrator.errors import UsageError
from orchestrator.facts.rounds import (
    CATEGORIES,
    INTERACTIVE,
    LatencyLimit,
    LoadGenRules,
    ModelRules,
    QualityTarget,
    RoundRules,
    ScenarioRules,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from orchestrator.definitions.catalog.entries import AnyEntry, Catalog, Entry, Key
    from orchestrator.definitions.kinds.recipes import Benchmark, Layer
    from orchestrator.definitions.kinds.rounds import LoadGenEntry, Quality
    from orchestrator.facts.rounds import RuleScenario

LOADGEN = "mlcommons-loadgen"
"""The distribution that LoadGen comes in."""
DIGITS = 9
"""Decimals of a bound that is a product: more than any source's reference and factor have together."""


def newest_round(catalog: Catalog) -> str | None:
    """The round of the highest number; None where no round is defined."""
    return max(catalog.names("round"), key=_number, default=None)


def round_names(catalog: Catalog) -> tuple[str, ...]:
    """All rounds, the oldest first."""
    return tuple(sorted(catalog.names("round"), key=_number))


def round_rules(by_key: Mapping[Key, AnyEntry], name: str) -> RoundRules:
    """The rules of a round that is defined, whole; `Catalog.round_rules` keeps them."""
    return _rules(chain_of(by_key, name))


def model_rules(catalog: Catalog, round_name: str, name: str) -> ModelRules:
    """The rules of a model of a round, by the checker's name.

    Raises:
        UsageError: `unknown-round`, `unknown-round-model`; with the name that was meant, or the rounds that
            have the model.
    """
    rules = catalog.round_rules(round_name)
    found = rules.models.get(name)
    if found is not None:
        return found
    having = rounds_with(catalog, name)
    there = f"it is in {', '.join(having)}; " if having else ""
    raise UsageError(
        f"{rules.name} has no model `{name}`", hint=there + model_hint(rules, name), slug="unknown-round-model"
    )


def rounds_with(catalog: Catalog, model: str) -> tuple[str, ...]:
    """The rounds that have a model, by the checker's name, the oldest first."""
    whole = [name for name in round_names(catalog) if chain_of(catalog.by_key, name).whole]
    return tuple(name for name in whole if model in catalog.round_rules(name).models)


def model_hint(rules: RoundRules, name: str) -> str:
    """What a name that is no model of a round may have meant."""
    meant = [model.name for model in rules.models.values() if model.loadgen_name == name]
    if meant:
        return f"that is LoadGen's name; the checker says {' or '.join(f'`{each}`' for each in meant)}"
    return near(name, rules.models)


def loadgen_layer(catalog: Catalog, what: Benchmark) -> str:
    """The layer with LoadGen that a benchmark is run with: its harness's, else its round's; empty where neither has."""
    harness = catalog.by_key.get(("harness", what.harness))
    if harness is not None and isinstance(harness.definition, Harness) and harness.definition.loadgen is not None:
        return harness.definition.loadgen
    rules = catalog.by_key.get(("round", what.round))
    own = rules.definition.loadgen.layer if rules is not None and isinstance(rules.definition, Round) else None
    return own or ""


def loadgen_version(catalog: Catalog, layer: str) -> str | None:
    """The version of LoadGen in a layer or in one below it; None where no layer installs LoadGen's wheel."""
    seen: set[str] = set()
    at: str | None = layer
    while at is not None and at not in seen:
        seen.add(at)
        entry = catalog.by_key.get(("layer", at))
        if entry is None:
            return None
        what = cast("Layer", entry.definition)
        for requirement in what.python:
            name, _, version = requirement.partition("==")
            if normalised(name) == LOADGEN:
                return version
        at = what.over
    return None


def accepts(loadgen: LoadGenRules, version: str) -> bool:
    """Whether a version of LoadGen is one of a round; of a local build (``6.0.17+ours``) its release counts."""
    return version_key(loadgen.first) <= version_key(version) <= version_key(loadgen.last)


def unknown_to_loadgen(rules: RoundRules, model: ModelRules, version: str | None) -> tuple[str, ...]:
    """The names of a model that a version of LoadGen does not know; it would silently take its defaults for them."""
    if model.loadgen_name is None or model.loadgen_defaults:
        return ()
    names = {loadgen_name(model.loadgen_name, scenario) for scenario in model.all_scenarios}
    loadgen = rules.loadgen
    at = version_key(version or loadgen.last)
    return tuple(
        name
        for name in sorted(names)
        if name not in loadgen.knows or version_key(loadgen.since.get(name, loadgen.first)) > at
    )


def _number(name: str) -> tuple[tuple[int, ...], str]:
    return tuple(int(digits) for digits in re.findall(r"[0-9]+", name)), name


# -- from the oldest round to the wanted one -----------------------------------------------


class Chain(NamedTuple):
    """A round and those that it builds on, the nearest first; not whole where `since` leads to nothing."""

    entries: tuple[Entry[Round], ...]
    circle: bool = False

    @property
    def whole(self) -> bool:
        """Whether it begins with a round that says everything."""
        return not self.circle and self.entries[-1].definition.since is None

    @property
    def rounds(self) -> tuple[Round, ...]:
        return tuple(entry.definition for entry in self.entries)


def chain_of(by_key: Mapping[Key, AnyEntry], name: str) -> Chain:
    """A round and those before it, as far as they are defined."""
    found: list[Entry[Round]] = []
    at: str | None = name
    while at is not None:
        if at in [entry.definition.name for entry in found]:
            return Chain(tuple(found), circle=True)
        entry = by_key.get(("round", at))
        if entry is None or not isinstance(entry.definition, Round):
            break
        found.append(cast("Entry[Round]", entry))
        at = entry.definition.since
    return Chain(tuple(found))


class State:
    """What holds after some rounds."""

    def __init__(self) -> None:
        self.models: dict[str, ModelFields] = {}
        self.metrics: dict[str, str] = {}
        self.compliance_tests: dict[str, str] = {}
        self.knows: dict[str, LoadGenEntry] = {}


def state_after(oldest_first: Iterable[Round]) -> State:
    """What holds after some rounds. What cannot be meant is left out: `check_rounds` names it."""
    state = State()
    for each in oldest_first:
        state.metrics |= each.metrics
        state.compliance_tests |= each.compliance_tests
        state.knows |= each.loadgen.knows
        for name in each.removed:
            state.models.pop(name, None)
        for name, change in each.changed.items():
            if name in state.models:
                state.models[name] = _with(state.models[name], change)
        for name, entry in each.added.items():
            like = state.models.get(entry.like) if entry.like is not None else None
            state.models[name] = _with(like or ModelFields(), entry)
    return state


def _with(model: ModelFields, change: ModelFields) -> ModelFields:
    """A model with the fields that a file gives anew, each whole."""
    given = {name: getattr(change, name) for name in change.model_fields_set if name != "like"}
    return model.model_copy(update=given)


# -- frozen values -------------------------------------------------------------------------


def _rules(chain: Chain) -> RoundRules:
    rounds = chain.rounds
    wanted, state = rounds[0], state_after(reversed(rounds))
    whole = _Whole(
        loadgen=_loadgen(rounds, state.knows),
        min_duration_ms=_newest(rounds, "min_duration_ms", 0),
        min_queries=_newest(rounds, "min_queries", {}),
        early_stopping=_newest(rounds, "early_stopping", {}),
    )
    return RoundRules(
        name=wanted.name,
        title=wanted.title,
        since=tuple(each.name for each in rounds[1:]),
        sources=dict(wanted.sources),
        loadgen=whole.loadgen,
        seeds=wanted.seeds.model_dump(),
        min_duration_ms=whole.min_duration_ms,
        early_stopping=whole.early_stopping,
        offline_samples=_newest(rounds, "offline_samples", None),
        one_of=_newest(rounds, "one_of", ()),
        metrics=state.metrics,
        compliance_tests=state.compliance_tests,
        models={name: _model(name, model, whole) for name, model in state.models.items()},
    )


def _newest(rounds: tuple[Round, ...], field: str, otherwise: Any) -> Any:
    """A field of the nearest round that gives it."""
    given = (getattr(each, field) for each in rounds)
    return next((value for value in given if value is not None), otherwise)


class _Whole(NamedTuple):
    """What a round says for all of its models."""

    loadgen: LoadGenRules
    min_duration_ms: int
    min_queries: Mapping[str, int]
    early_stopping: Mapping[str, int]


def _loadgen(rounds: tuple[Round, ...], knows: Mapping[str, LoadGenEntry]) -> LoadGenRules:
    wanted = rounds[0].loadgen
    limits = [each.loadgen.server_latency_ms for each in rounds if each.loadgen.server_latency_ms is not None]
    first = version_key(wanted.first)
    return LoadGenRules(
        first=wanted.first,
        last=wanted.last,
        why=wanted.why,
        layer=wanted.layer or "",
        server_latency_ms=limits[0] if limits else None,
        knows={
            name: LatencyLimit(latency_ms=entry.latency_ms, ttft_ms=entry.ttft_ms, tpot_ms=entry.tpot_ms)
            for name, entry in knows.items()
        },
        since={
            name: entry.since
            for name, entry in knows.items()
            if entry.since is not None and version_key(entry.since) > first
        },
    )


def _model(name: str, model: ModelFields, whole: _Whole) -> ModelRules:
    scenarios = scenarios_of(model)
    shown = {scenario for rules in scenarios.values() for scenario in rules.all}
    return ModelRules(
        name=name,
        title=model.title or name,
        dataset=model.dataset or "",
        loadgen_name=model.loadgen,
        loadgen_defaults=model.loadgen_defaults or "",
        scenarios=scenarios,
        accuracy=_targets(model.accuracy),
        accuracy_in=_accuracy_in(model),
        accuracy_samples=model.accuracy_samples,
        accuracy_samples_in=_accuracy_samples_in(model),
        performance_samples=model.performance_samples or 0,
        dataset_samples=model.dataset_samples,
        offline_samples=model.offline_samples,
        min_queries=_of(shown, model.min_queries, whole.min_queries),
        early_stopping=_of(shown, model.early_stopping, whole.early_stopping),
        min_duration_ms=model.min_duration_ms if model.min_duration_ms is not None else whole.min_duration_ms,
        limits=_limits(model),
        loadgen_limits=_loadgen_limits(model, shown, whole.loadgen),
        compliance=model.compliance or (),
        differs=dict(model.differs or {}),
    )


def _accuracy_in(model: ModelFields) -> dict[str, tuple[QualityTarget, ...]]:
    apart = model.in_scenario or {}
    return {name: _targets(each.accuracy) for name, each in apart.items() if each.accuracy is not None}


def _accuracy_samples_in(model: ModelFields) -> dict[str, int]:
    apart = model.in_scenario or {}
    return {name: each.accuracy_samples for name, each in apart.items() if each.accuracy_samples is not None}


def _of(shown: Collection[str], own: Mapping[RuleScenario, int] | None, rounds: Mapping[str, int]) -> dict[str, int]:
    """Counts by scenario, of those that the model is run in: its own, else the round's."""
    counts = cast("Mapping[str, int]", own) if own is not None else rounds
    return {scenario: count for scenario, count in counts.items() if scenario in shown}


def scenarios_of(model: ModelFields) -> dict[str, ScenarioRules]:
    """By category, all of them; a system of both runs what either asks for, unless that is written."""
    given = model.scenarios or {}
    found: dict[str, ScenarioRules] = {}
    for category in CATEGORIES:
        rules = given.get(category, ())  # type: ignore[call-overload]  # one of CategoryName
        if isinstance(rules, Scenarios):
            found[category] = ScenarioRules(required=rules.required, optional=rules.optional)
        else:
            found[category] = ScenarioRules(required=tuple(rules))
    if "datacenter-edge" not in given:
        found["datacenter-edge"] = _either(found["edge"], found["datacenter"])
    return found


def _either(edge: ScenarioRules, datacenter: ScenarioRules) -> ScenarioRules:
    required = tuple(dict.fromkeys((*edge.required, *datacenter.required)))
    optional = dict.fromkeys((*edge.optional, *datacenter.optional))
    return ScenarioRules(required=required, optional=tuple(name for name in optional if name not in required))


def _targets(accuracy: Mapping[str, Quality] | None) -> tuple[QualityTarget, ...]:
    return tuple(
        QualityTarget(
            metric=metric,
            minimum=_bound(target.minimum, target.reference, target.factor),
            maximum=_bound(target.maximum, target.reference, target.max_factor),
            reference=target.reference,
            factor=target.factor,
            max_factor=target.max_factor,
        )
        for metric, target in (accuracy or {}).items()
    )


def _bound(given: float | None, reference: float | None, factor: float | None) -> float | None:
    if given is not None or reference is None or factor is None:
        return given
    return round(reference * factor, DIGITS)


def _limits(model: ModelFields) -> dict[str, LatencyLimit]:
    latencies, tokens = model.latency_ms or {}, model.token_latency_ms or {}
    found: dict[str, LatencyLimit] = {}
    for scenario in dict.fromkeys((*latencies, *tokens)):
        token = tokens.get(scenario)
        found[scenario] = LatencyLimit(
            latency_ms=latencies.get(scenario),
            ttft_ms=token.ttft if token is not None else None,
            tpot_ms=token.tpot if token is not None else None,
        )
    return found


def _loadgen_limits(model: ModelFields, shown: Collection[str], loadgen: LoadGenRules) -> dict[str, LatencyLimit]:
    """What LoadGen's conf sets for Server and Interactive; its default where it has no entry or no limit."""
    found: dict[str, LatencyLimit] = {}
    for scenario in ("Server", "Interactive"):
        if model.loadgen is None or scenario not in shown:
            continue
        limit = loadgen.knows.get(loadgen_name(model.loadgen, scenario), LatencyLimit())
        found[scenario] = limit if limit.document() else LatencyLimit(latency_ms=loadgen.server_latency_ms)
    return found


def loadgen_name(name: str, scenario: str) -> str:
    return f"{name}{INTERACTIVE}" if scenario == "Interactive" else name


def near(name: str, names: Iterable[str]) -> str:
    """A hint: the names that one is near to, else all of them."""
    known = sorted(names)
    close = nearest(name, known, limit=3)
    if close:
        return f"did you mean {' or '.join(f'`{each}`' for each in close)}?"
    return f"there are: {', '.join(known)}" if known else "none is defined"
