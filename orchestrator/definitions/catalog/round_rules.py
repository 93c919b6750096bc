"""The frozen rules of a round, made of the files of the round and of those before it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from orchestrator.definitions.catalog.round_chain import Chain, chain_of, state_after
from orchestrator.definitions.catalog.round_checker import checker_rules
from orchestrator.definitions.kinds.rounds import ModelFields, Round, Scenarios
from orchestrator.facts.rounds import (
    CATEGORIES,
    INTERACTIVE,
    ComplianceRules,
    LatencyLimit,
    LoadGenRules,
    ModelRules,
    ModelSubmission,
    QualityTarget,
    RoundRules,
    ScenarioRules,
    version_key,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from orchestrator.definitions.catalog.entries import AnyEntry, Key
    from orchestrator.definitions.kinds.rounds import Compliance, ComplianceTest, LoadGenEntry, Quality
    from orchestrator.facts.checker_rules import CheckerRules
    from orchestrator.facts.rounds import RuleScenario

DIGITS = 9
"""Decimals of a bound that is a product: more than any source's reference and factor have together."""


def round_rules(by_key: Mapping[Key, AnyEntry], name: str) -> RoundRules:
    """The rules of a round that is defined, whole; `Catalog.round_rules` keeps them."""
    return _rules(chain_of(by_key, name))


def _rules(chain: Chain) -> RoundRules:
    rounds = chain.rounds
    wanted, state = rounds[0], state_after(reversed(rounds))
    scripts: Compliance | None = _newest(rounds, "compliance", None)
    whole = _Whole(
        loadgen=_loadgen(rounds, state.knows),
        min_duration_ms=_newest(rounds, "min_duration_ms", 0),
        min_queries=_newest(rounds, "min_queries", {}),
        early_stopping=_newest(rounds, "early_stopping", {}),
        checker=checker_rules(rounds),
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
        checker=whole.checker,
        models={name: _model(name, model, whole) for name, model in state.models.items()},
        compliance_layer="" if scripts is None else scripts.layer,
        compliance={} if scripts is None else {name: _test(test, scripts) for name, test in state.compliance.items()},
    )


def _newest(rounds: tuple[Round, ...], field: str, otherwise: Any) -> Any:
    """A field of the nearest round that gives it."""
    given = (getattr(each, field) for each in rounds)
    return next((value for value in given if value is not None), otherwise)


def _test(test: ComplianceTest, scripts: Compliance) -> ComplianceRules:
    """A test with the place of its script in the round's image: the folder moved from one round to another."""
    return ComplianceRules(
        audit=test.audit,
        compared_with=test.compared_with,
        command=tuple(word.replace("{scripts}", scripts.scripts) for word in test.command),
        files=test.files,
        passes=test.passes,
        fails=test.fails,
    )


class _Whole(NamedTuple):
    """What a round says for all of its models."""

    loadgen: LoadGenRules
    min_duration_ms: int
    min_queries: Mapping[str, int]
    early_stopping: Mapping[str, int]
    checker: CheckerRules


def _loadgen(rounds: tuple[Round, ...], knows: Mapping[str, LoadGenEntry]) -> LoadGenRules:
    wanted = rounds[0].loadgen
    limits = [each.loadgen.server_latency_ms for each in rounds if each.loadgen.server_latency_ms is not None]
    first = version_key(wanted.first)
    return LoadGenRules(
        first=wanted.first,
        last=wanted.last,
        why=wanted.why,
        layer=wanted.layer or "",
        not_run=wanted.not_run or "",
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
        audit=dict(model.audit or {}),
        differs=dict(model.differs or {}),
        submission=_submission(name, model, whole.checker),
    )


def _submission(name: str, model: ModelFields, checker: CheckerRules) -> ModelSubmission:
    delta = checker.delta_percent_high if name.endswith("99.9") else checker.delta_percent
    return ModelSubmission(
        equal_issue=bool(model.equal_issue),
        token_latencies=bool(model.token_latencies),
        result_keys={**checker.result_keys, **cast("dict[str, str]", model.result_keys or {})},
        units={**checker.units, **cast("dict[str, str]", model.units or {})},
        accuracy_extras=dict(model.accuracy_extras or {}),
        delta_percent=dict.fromkeys(model.accuracy or (), delta) | cast("dict[str, float]", model.delta_percent or {}),
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
