"""What `mlorch benchmarks` shows: tables of benchmarks and models, one of them with its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.console import Console
    from orchestrator.definitions.kinds.benchmarks import AccuracyGoal
    from orchestrator.facts.rounds import LatencyLimit, ModelRules, QualityTarget, RoundRules, ScenarioRules
    from orchestrator.operations.benchmarks import BenchmarkFacts, ModelFacts

    Document = dict[str, Any]
    """An object of the JSON of `benchmarks list`."""

# -- lists ---------------------------------------------------------------------------------


def print_benchmarks(console: Console, found: Sequence[Document]) -> None:
    """The benchmarks that `mlorch run` takes, each as in the JSON of `benchmarks list`."""
    columns = ("benchmark", "model", "dataset", "scenarios", "targets", "MLPerf")
    console.table(columns, [_row(each) for each in found], drop=(2, 1))


def _row(each: Document) -> tuple[str, ...]:
    stands_for = each["stands_for"] or ""
    return (
        f"{each['name']} *" if each["default"] else each["name"],
        each["model"],
        each["dataset"],
        " ".join(each["runs"]),
        _targets(each),
        stands_for if each["official"] else f"no (reference workload{_stands_for(stands_for)})",
    )


def _targets(each: Document) -> str:
    """In brackets those that take a choice of the recipe."""
    by_choice = " ".join(each["targets_by_choice"])
    return " ".join(each["targets"]) + (f" ({by_choice})" if by_choice else "")


def print_models(console: Console, models: Sequence[Document], rules: Document, listing: Document) -> None:
    """The models of a round; scenarios in brackets are optional.

    ``rules`` is what holds for all of them, ``listing`` names the round and the rounds that there are.
    """
    name = listing["round"]
    others = ", ".join(each for each in listing["rounds"] if each != name)
    rows = [
        (
            each["name"],
            _scenarios(each["scenarios"]["datacenter"]),
            _scenarios(each["scenarios"]["edge"]),
            " ".join(test.removeprefix("TEST") for test in each["compliance"]) or "–",
        )
        for each in models
    ]
    console.table(("model", "datacenter", "edge", "TEST"), rows, title=rules["title"])
    if rules["one_of"]:
        console.say(f"where {_listed(rules['one_of'])} are both optional, a closed submission shows one of them")
    console.say(f"rules of a model: mlorch benchmarks show MODEL --round {name}")
    if others:
        console.say(f"other rounds, with --round: {others}")


def _scenarios(rules: Document) -> str:
    required = " ".join(rules["required"])
    if not rules["optional"]:
        return required or "–"
    return f"{required} ({' '.join(rules['optional'])})".strip()


# -- a benchmark -----------------------------------------------------------------------------


def print_benchmark(console: Console, found: BenchmarkFacts) -> None:
    """What a benchmark is made of and what it must reach."""
    what = found.definition
    console.result(f"{what.name}: {what.title}")
    if what.description:
        console.result(what.description.strip())
    lines = [
        ("MLPerf", what.stands_for if what.official else f"{what.note}{_stands_for(what.stands_for)}"),
        ("model", f"{what.model}: {found.model_title}"),
        ("dataset", f"{what.dataset}: {found.dataset_title}"),
        ("harness", f"{what.harness} with {' or '.join(what.frameworks)}"),
    ]
    if what.suites:
        lines.append(("suites", ", ".join(what.suites)))
    lines += [("accuracy", _goal(goal)) for goal in what.accuracy.goals]
    for scenario, settings in what.scenarios.items():
        given = settings.model_dump(exclude_none=True)
        words = ", ".join(f"{key} {value}" for key, value in given.items())
        lines.append((f"scenario {scenario}", words or "LoadGen's own settings"))
    lines += [
        ("targets", ", ".join(found.targets)),
        *((f"on {target}", f"with --set {' or '.join(given)}") for target, given in found.targets_by_choice.items()),
        ("recipe", f"{found.entry.path} ({found.entry.origin})"),
    ]
    console.facts(lines)


def _goal(goal: AccuracyGoal) -> str:
    """What must be reached: ``top1 of at least 90.62 %``."""
    most = "" if goal.maximum is None else f" and at most {goal.maximum:.4g}"
    return f"{goal.metric} of at least {goal.minimum:.4g}{most} {goal.unit}".rstrip()


def _stands_for(model: str) -> str:
    return f", stands for {model}" if model else ""


# -- a model of a round ------------------------------------------------------------------------


def print_model(console: Console, found: ModelFacts) -> None:
    """What has to be run of a model in a round, and what it must reach."""
    rules, whole = found.rules, found.round
    console.result(f"{rules.name} in {whole.title}: {rules.title}")
    lines = [
        *_what_to_run(rules, whole),
        *_accuracy(rules, whole),
        *_latency(rules),
        *_samples(rules),
        *_compliance(rules, whole),
        *_loadgen(rules, whole),
        *(("differs", f"{source}: {text}; the checker decides") for source, text in rules.differs.items()),
        ("benchmarks", _names(found.benchmarks) or f"none yet that measures it{_stand_ins(found)}"),
        *((f"source {name}", text) for name, text in whole.sources.items()),
        ("recipe", f"{found.entry.path} ({found.entry.origin})"),
    ]
    console.facts(lines)


def _what_to_run(rules: ModelRules, whole: RoundRules) -> Iterator[tuple[str, str]]:
    alone = [rules.scenarios[category] for category in ("datacenter", "edge")]
    for category, scenarios in zip(("datacenter", "edge"), alone, strict=True):
        yield category, _demand(scenarios, whole)
    both = rules.scenarios["datacenter-edge"]
    if not any(_same(both, each) for each in alone):
        yield "both", f"{_demand(both, whole)} (a system submitted in both categories)"


def _same(one: ScenarioRules, other: ScenarioRules) -> bool:
    return (set(one.required), set(one.optional)) == (set(other.required), set(other.optional))


def _demand(scenarios: ScenarioRules, whole: RoundRules) -> str:
    if not scenarios.all:
        return "not in this category"
    parts = [f"{_listed(scenarios.required)} required"] if scenarios.required else []
    if scenarios.optional:
        one_of = whole.needed_of(scenarios)
        optional = f"{_listed(scenarios.optional)} optional"
        parts.append(f"{optional}, {' or '.join(one_of)} needed in a closed submission" if one_of else optional)
    return "; ".join(parts)


def _accuracy(rules: ModelRules, whole: RoundRules) -> Iterator[tuple[str, str]]:
    label = "accuracy"
    for target in rules.accuracy:
        yield label, f"{_target(target)}: {whole.metrics.get(target.metric, '')}"
        label = ""
    for scenario, targets in rules.accuracy_in.items():
        yield f"in {scenario}", ", ".join(_target(target) for target in targets)


def _target(target: QualityTarget) -> str:
    low, high = target.minimum, target.maximum
    if low is not None and high is not None:
        bounds = f"from {_figure(low)} to {_figure(high)}"
    elif low is not None:
        bounds = f"at least {_figure(low)}"
    else:
        bounds = f"at most {_figure(high)}"
    factors = " and ".join(_figure(factor) for factor in (target.factor, target.max_factor) if factor is not None)
    share = f" ({factors} of {_figure(target.reference)})" if factors else ""
    return f"{target.metric} {bounds}{share}"


def _latency(rules: ModelRules) -> Iterator[tuple[str, str]]:
    for scenario, limit in rules.limits.items():
        if scenario not in rules.all_scenarios:
            continue
        yield f"latency {scenario}", f"99th percentile: {_limit(limit)}"
        own = rules.loadgen_limits.get(scenario)
        if own is not None and _differs(own, limit):
            yield "", f"LoadGen's own limit: {_limit(own)}"


def _differs(own: LatencyLimit, limit: LatencyLimit) -> bool:
    """Whether LoadGen's conf has another limit than the checker; of token models it has no limit on the whole."""
    if own.ttft_ms is not None:
        return (own.ttft_ms, own.tpot_ms) != (limit.ttft_ms, limit.tpot_ms)
    return own.latency_ms != limit.latency_ms


def _limit(limit: LatencyLimit) -> str:
    names = {"ttft_ms": "first token", "tpot_ms": "each later token", "latency_ms": "whole sample"}
    given = limit.document()
    return ", ".join(f"{text} {_figure(given[key])} ms" for key, text in names.items() if key in given)


def _samples(rules: ModelRules) -> Iterator[tuple[str, str]]:
    yield "dataset", rules.dataset + (f", {rules.dataset_samples:,} samples" if rules.dataset_samples else "")
    parts = [f"at least {rules.performance_samples:,} loaded in a performance test"]
    if rules.accuracy_samples is not None:
        parts.append(f"{rules.accuracy_samples:,} in an accuracy test")
    parts += [f"{count:,} in {scenario}'s accuracy test" for scenario, count in rules.accuracy_samples_in.items()]
    if rules.offline_samples is not None and "Offline" in rules.all_scenarios:
        parts.append(f"at least {rules.offline_samples:,} in Offline's one query")
    yield "samples", ", ".join(parts)
    least = f"at least {_figure(rules.min_duration_ms / 1000)} s" if rules.min_duration_ms else "one pass over the data"
    yield "length", least
    if rules.min_queries:
        queries = ", ".join(f"{name} {count:,}" for name, count in rules.min_queries.items())
        yield "queries", f"at least {queries}; with early stopping fewer will do in all but Offline"


def _compliance(rules: ModelRules, whole: RoundRules) -> Iterator[tuple[str, str]]:
    label = "compliance"
    for test in rules.compliance:
        yield label, f"{test}: {whole.compliance_tests.get(test, '')}"
        label = ""
    if not rules.compliance:
        yield label, "no test"


def _loadgen(rules: ModelRules, whole: RoundRules) -> Iterator[tuple[str, str]]:
    if rules.loadgen_name is None:
        yield "LoadGen", "is not what runs it"
        return
    names = f"`{rules.loadgen_name}`"
    if "Interactive" in rules.all_scenarios:
        names += f", for Interactive `{rules.loadgen_name_of('Interactive')}`"
    yield "LoadGen", f"{whole.loadgen.range}, model {names}"
    if rules.loadgen_defaults:
        yield "", f"takes its defaults: {rules.loadgen_defaults}"


def _names(benchmarks: Sequence[BenchmarkFacts]) -> str:
    return ", ".join(each.definition.name for each in benchmarks)


def _stand_ins(found: ModelFacts) -> str:
    return f"; {_names(found.stand_ins)} stand in for it" if found.stand_ins else ""


def _listed(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _figure(number: float | None) -> str:
    """A number as it was written: no zeros behind, no powers of ten."""
    text = f"{number or 0:.9f}"
    return text.rstrip("0").rstrip(".")
