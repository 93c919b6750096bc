"""`benchmarks`: what can be measured and on what, and what MLPerf's rounds ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.definitions.catalog.nearby import nearby
from orchestrator.definitions.catalog.rounds import model_rules, newest_round, round_names
from orchestrator.definitions.yaml import nearest
from orchestrator.errors import UsageError
from orchestrator.facts.rounds import ScenarioRules
from orchestrator.plan.build.frameworks import targets_by_choice, targets_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.benchmarks import AccuracyGoal, Benchmark
    from orchestrator.definitions.kinds.rounds import Round
    from orchestrator.facts.rounds import ModelRules, RoundRules
    from orchestrator.operations.context import Context

NO_RULES = {name: ScenarioRules() for name in ("datacenter", "edge")}


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkFacts:
    """A benchmark that mlorch runs, and the targets that can run it."""

    entry: Entry[Benchmark]
    targets: tuple[str, ...]
    targets_by_choice: Mapping[str, tuple[str, ...]]
    """Those that can run it with a choice of its recipe only, and with which (``AXIS=VALUE``)."""
    model_title: str
    dataset_title: str
    rules: ModelRules | None
    """Of the model of its round that it stands for; None where it stands for none."""

    @property
    def definition(self) -> Benchmark:
        """What its recipe says."""
        return self.entry.definition

    def document(self) -> dict[str, Any]:
        """An element of `benchmarks` in the JSON of `benchmarks list`.

        A workload that is not official is in no category of a submission: the
        scenarios it can run are all optional ones of none, and stand in ``runs``.
        """
        what = self.definition
        rules = self.rules if what.official else None
        scenarios = NO_RULES if rules is None else rules.scenarios
        return {
            "name": what.name,
            "title": what.title,
            "official": what.official,
            "default": what.default,
            "suites": list(what.suites),
            "round": what.round,
            "loadgen_name": None if rules is None else rules.loadgen_name,
            "checker_name": None if rules is None else rules.name,
            "stands_for": what.stands_for or None,
            "categories": [] if rules is None else list(rules.categories),
            "scenarios": {category: each.document() for category, each in scenarios.items()},
            "runs": list(what.scenarios),
            "accuracy": _goal(what.accuracy),
            **_other_goals(what),
            "compliance": [] if rules is None else list(rules.compliance),
            "targets": list(self.targets),
            "targets_by_choice": {target: list(choices) for target, choices in self.targets_by_choice.items()},
            "model": what.model,
            "dataset": what.dataset,
            "harness": what.harness,
            "framework": what.frameworks[0],
            "frameworks": list(what.frameworks),
        }

    def whole_document(self) -> dict[str, Any]:
        """The JSON of `benchmarks show`: the same, and the recipe."""
        definition = self.definition.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {
            **self.document(),
            "path": str(self.entry.path),
            "origin": self.entry.origin,
            "definition": definition,
        }


def _goal(goal: AccuracyGoal) -> dict[str, Any]:
    """An accuracy in the JSON of a benchmark, with what must be reached; ``most`` only where there is a limit."""
    document: dict[str, Any] = {
        "name": goal.metric,
        "unit": goal.unit,
        "reference": goal.reference,
        "factor": goal.factor,
        "required": goal.minimum,
    }
    if goal.maximum is not None:
        document |= {"max_factor": goal.max_factor, "most": goal.maximum}
    return document


def _other_goals(benchmark: Benchmark) -> dict[str, Any]:
    """The key `other_accuracies` of a benchmark that has goals for more than one metric."""
    others = [_goal(goal) for goal in benchmark.accuracy.also]
    return {"other_accuracies": others} if others else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A model of a round: its rules, the benchmarks that measure it, and those that only stand in for it."""

    rules: ModelRules
    round: RoundRules
    entry: Entry[Round]
    """The recipe of the round."""
    benchmarks: tuple[BenchmarkFacts, ...]
    stand_ins: tuple[BenchmarkFacts, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """Those that can run one of its benchmarks, with a choice of its recipe or without, sorted."""
        every = ({*each.targets, *each.targets_by_choice} for each in self.benchmarks)
        return tuple(sorted(set().union(*every)))

    def document(self) -> dict[str, Any]:
        """An element of `benchmarks` in the JSON of `benchmarks list --round`."""
        return {
            "name": self.rules.name,
            "title": self.rules.title,
            "official": True,
            "round": self.round.name,
            **self.rules.document(),
            "targets": list(self.targets),
            "benchmarks": [each.definition.name for each in self.benchmarks],
            "stand_ins": [each.definition.name for each in self.stand_ins],
        }

    def whole_document(self) -> dict[str, Any]:
        """The JSON of `benchmarks show --round`: the same, what holds for all models, and what the words mean."""
        rules, whole = self.rules, self.round
        metrics = {target.metric for scenario in rules.all_scenarios for target in rules.accuracy_of(scenario)}
        return {
            **self.document(),
            "round_rules": whole.document(),
            "metrics": {name: text for name, text in whole.metrics.items() if name in metrics},
            "compliance_tests": {name: whole.compliance_tests[name] for name in rules.compliance},
            "path": str(self.entry.path),
            "origin": self.entry.origin,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundModels:
    """The models of a round."""

    rules: RoundRules
    rounds: tuple[str, ...]
    """All rounds that there are, the oldest first."""
    models: tuple[ModelFacts, ...]

    def document(self) -> dict[str, Any]:
        """The JSON of `benchmarks list --round`."""
        models = [each.document() for each in self.models]
        return {
            "round": self.rules.name,
            "rounds": list(self.rounds),
            **self.rules.document(),
            "benchmarks": models,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkList:
    """The benchmarks that mlorch runs by name, and the models of the newest round."""

    benchmarks: tuple[BenchmarkFacts, ...]
    newest: RoundModels | None

    def document(self) -> dict[str, Any]:
        """The JSON of `benchmarks list`: what `mlorch run` takes, and apart from it what MLPerf asks for."""
        document: dict[str, Any] = {"round": None, "benchmarks": [each.document() for each in self.benchmarks]}
        if self.newest is None:
            return {**document, "rounds": [], "round_rules": None, "models": []}
        return {
            **document,
            "round": self.newest.rules.name,
            "rounds": list(self.newest.rounds),
            "round_rules": self.newest.rules.document(),
            "models": [each.document() for each in self.newest.models],
        }


def all_benchmarks(catalog: Catalog) -> BenchmarkList:
    """Every benchmark of the recipes, and the newest round."""
    found = _benchmarks(catalog)
    name = newest_round(catalog)
    return BenchmarkList(benchmarks=found, newest=_models(catalog, name, found) if name is not None else None)


def models_of(catalog: Catalog, round_name: str) -> RoundModels:
    """The models of a round. Raises `UsageError` (`unknown-round`)."""
    return _models(catalog, round_name, _benchmarks(catalog))


def show_benchmark(context: Context, name: str, round_name: str = "") -> BenchmarkFacts | ModelFacts:
    """A benchmark; or a model of a round, of the newest one where none is named.

    Raises:
        UsageError: `unknown-round`, `unknown-round-model`, `unknown-benchmark`; each with the nearest names.
    """
    catalog = context.catalog
    if not round_name and ("benchmark", name) in catalog.by_key:
        return _facts(catalog, catalog.benchmark(name))
    newest = round_name or newest_round(catalog)
    if newest is None:
        return _facts(catalog, catalog.benchmark(name))  # there is none: it says so
    rules = catalog.round_rules(newest)
    if name not in rules.models and not round_name and _is_no_model(catalog, name):
        raise _unknown(catalog, rules, name)
    return _model(catalog, rules, model_rules(catalog, newest, name), _benchmarks(catalog))


def _is_no_model(catalog: Catalog, name: str) -> bool:
    """Whether no round has a model, under either of its names."""
    for each in round_names(catalog):
        models = catalog.round_rules(each).models
        if name in models or name in {model.loadgen_name for model in models.values()}:
            return False
    return True


def _unknown(catalog: Catalog, rules: RoundRules, name: str) -> UsageError:
    names = (*catalog.names("benchmark"), *rules.models)
    near = nearest(name, names, limit=3)
    hint = f"did you mean {' or '.join(f'`{each}`' for each in near)}?" if near else "see `mlorch benchmarks list`"
    hint = "; ".join(filter(None, (nearby("benchmark", name, catalog.roots), hint)))
    message = f"there is no benchmark `{name}`, and no such model in {rules.name}"
    return UsageError(message, hint=hint, slug="unknown-benchmark")


def _benchmarks(catalog: Catalog) -> tuple[BenchmarkFacts, ...]:
    return tuple(_facts(catalog, entry) for entry in catalog.benchmarks())


def _models(catalog: Catalog, name: str, benchmarks: Sequence[BenchmarkFacts]) -> RoundModels:
    rules = catalog.round_rules(name)
    return RoundModels(
        rules=rules,
        rounds=round_names(catalog),
        models=tuple(_model(catalog, rules, model, benchmarks) for model in rules.models.values()),
    )


def _model(catalog: Catalog, rules: RoundRules, model: ModelRules, benchmarks: Sequence[BenchmarkFacts]) -> ModelFacts:
    mine = [
        each for each in benchmarks if (each.definition.round, each.definition.stands_for) == (rules.name, model.name)
    ]
    return ModelFacts(
        rules=model,
        round=rules,
        entry=catalog.round(rules.name),
        benchmarks=tuple(each for each in mine if each.definition.official),
        stand_ins=tuple(each for each in mine if not each.definition.official),
    )


def _facts(catalog: Catalog, entry: Entry[Benchmark]) -> BenchmarkFacts:
    what = entry.definition
    return BenchmarkFacts(
        entry=entry,
        targets=targets_of(catalog, what),
        targets_by_choice=targets_by_choice(catalog, what),
        model_title=catalog.model(what.model).definition.title,
        dataset_title=catalog.dataset(what.dataset).definition.title,
        rules=catalog.round_rules(what.round).models[what.stands_for] if what.stands_for else None,
    )
