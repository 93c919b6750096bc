"""`benchmarks`: what can be measured, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.plan.build.resolve import targets_of

if TYPE_CHECKING:
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.recipes import AccuracyGoal, Benchmark
    from orchestrator.operations.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkFacts:
    """A benchmark, and the targets that can run it."""

    entry: Entry[Benchmark]
    targets: tuple[str, ...]
    model_title: str
    dataset_title: str

    @property
    def definition(self) -> Benchmark:
        """What its recipe says."""
        return self.entry.definition

    def document(self) -> dict[str, Any]:
        """An element of `benchmarks` in the JSON of `benchmarks list` (design.md, JSON contract).

        A workload that is not official is in no category of a submission: the
        scenarios it can run are all optional ones of none, and stand in ``runs``.
        """
        what = self.definition
        return {
            "name": what.name,
            "title": what.title,
            "official": what.official,
            "default": what.default,
            "round": what.round,
            "loadgen_name": what.stands_for if what.official else None,
            "checker_name": what.stands_for if what.official else None,
            "stands_for": what.stands_for or None,
            "categories": [],
            "scenarios": {name: {"required": [], "optional": []} for name in ("datacenter", "edge")},
            "runs": list(what.scenarios),
            "accuracy": _goal(what.accuracy),
            **_other_goals(what),
            "compliance": [],
            "targets": list(self.targets),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkList:
    """The benchmarks by name; ``round`` is the newest one."""

    round: str | None
    benchmarks: tuple[BenchmarkFacts, ...]

    def document(self) -> dict[str, Any]:
        """The JSON of `benchmarks list`."""
        return {"round": self.round, "benchmarks": [each.document() for each in self.benchmarks]}


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


def list_benchmarks(context: Context) -> BenchmarkList:
    """Every benchmark of the recipes. Raises `DefinitionError` for invalid ones."""
    catalog = context.catalog
    found = tuple(_facts(catalog, entry) for entry in catalog.benchmarks())
    rounds = sorted({each.definition.round for each in found})
    return BenchmarkList(round=rounds[-1] if rounds else None, benchmarks=found)


def show_benchmark(context: Context, name: str) -> BenchmarkFacts:
    """One benchmark. Raises `UsageError` (`unknown-benchmark`)."""
    return _facts(context.catalog, context.catalog.benchmark(name))


def _facts(catalog: Catalog, entry: Entry[Benchmark]) -> BenchmarkFacts:
    what = entry.definition
    return BenchmarkFacts(
        entry=entry,
        targets=tuple(targets_of(catalog, what)),
        model_title=catalog.model(what.model).definition.title,
        dataset_title=catalog.dataset(what.dataset).definition.title,
    )
