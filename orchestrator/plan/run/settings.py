"""The settings of one LoadGen test and where each came from; pure.

Sources in order, later ones win: default < recipe < system (what `--find` or `tune` stored)
< the performance run that a compliance test is compared with < the round, where the test is official < command line.
What stays null the harness measures before the test and reports
(docs/run-contract.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.servers import CLIENT
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.plan.run.sample_terms import why_not_shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.definitions.kinds.assets import Model
    from orchestrator.facts.compliance import ComparedRun
    from orchestrator.facts.rounds import OfficialTest
    from orchestrator.plan.run.cells import Cell
    from orchestrator.plan.run.workload import Workload

SETTINGS_VERSION = 2
DEFAULT_MIN_DURATION_MS = 10_000
_KEYS = (
    "min_duration_ms",
    "max_duration_ms",
    "min_query_count",
    "target_qps",
    "expected_latency_ns",
    "target_latency_ns",
    "target_latency_percentile",
    "samples_per_query",
)
_TOKEN_KEYS = ("ttft_latency_ns", "tpot_latency_ns")
"""Beside them where a model generates."""
_EXECUTION = ("instances", "threads", "batch", "batch_delay_us")
PRECISION = "precision"
"""Beside them where one was found (`mlorch tune`)."""
PROCESSES = "processes"
"""Beside them where the harness is a client of servers."""
EXECUTION = frozenset((*_EXECUTION, PRECISION, PROCESSES))
"""What the model runs with; all other settings are of LoadGen's test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the command line says, and what `--find` stored for this system.

    ``system`` has ``loadgen`` and ``execution`` keys, and ``cpus``, the number of processors they hold for.
    """

    min_duration_ms: int | None = None
    official: bool = False
    target_qps: float | None = None
    system: Mapping[str, object] = field(default_factory=dict)
    calibrated: Mapping[str, object] = field(default_factory=dict)
    """What an earlier test of the same run measured: a rate that was too high, halved."""
    searched: Mapping[str, object] = field(default_factory=dict)
    """The same of a rate that was searched: a test of it was INVALID, and it is lower now."""
    compared: tuple[ComparedRun, ...] = ()
    """What a compliance test is compared with: it runs with the settings of the performance test among them."""
    timeout_s: int | None = None
    """How long a test may take; None where nobody said."""

    @property
    def compared_settings(self) -> Mapping[str, object]:
        """The settings of that performance test; empty where there is none, or it has not run yet."""
        return next((one.settings for one in self.compared if one.mode == "performance"), {})


def settings_of(
    workload: Workload, cell: Cell, identifier: str, choices: Choices, cpus: tuple[int, ...]
) -> tuple[dict[str, object], dict[str, str]]:
    """The harness's document, and the provenance of each of its free settings by dotted name."""
    benchmark = workload.benchmark
    values, sources = resolved(workload, cell, choices, len(cpus))
    document: dict[str, object] = {
        "version": SETTINGS_VERSION,
        "run_id": identifier,
        "benchmark": benchmark.name,
        "task": benchmark.task,
        "scenario": cell.scenario,
        "mode": cell.mode if cell.test is None else "performance",
    }
    if cell.test is not None:
        document["audit"] = {"test": cell.test.name, "settings": dict(cell.test.audit)}
    keys = _KEYS if benchmark.generation is None else (*_KEYS, *_TOKEN_KEYS)
    loadgen = {key: values.get(key) for key in keys}
    if workload.harness.program is not None:
        loadgen["performance_samples"] = _performance_samples(workload)
        sources["performance_samples"] = "recipe"
        document |= {"loadgen": loadgen, "dataset": {"samples": workload.dataset.samples}}
        return document, {f"loadgen.{key}": sources.get(key, "default") for key in loadgen}
    execution = (*_EXECUTION, PRECISION) if values.get(PRECISION) is not None else _EXECUTION
    if benchmark.roles:
        execution = (*execution, PROCESSES)
    document |= {
        "backend": workload.harness.backends[workload.framework],
        "providers": list(workload.target.providers.get(workload.framework, ())),
        "model": _model(workload),
        "dataset": _dataset(workload),
        "loadgen": loadgen,
        "execution": {"cpus": list(cpus), **{key: values.get(key) for key in execution}},
        "accuracy": {"metric": benchmark.accuracy.metric, "unit": benchmark.accuracy.unit},
    }
    if benchmark.generation is not None:
        document["generation"] = benchmark.generation.model_dump()
    provenance = {f"loadgen.{key}": sources.get(key, "default") for key in keys}
    provenance |= {f"execution.{key}": sources.get(key, "default") for key in execution}
    provenance["execution.cpus"] = "system"
    return document, provenance


def resolved(workload: Workload, cell: Cell, choices: Choices, cpus: int) -> tuple[dict[str, object], dict[str, str]]:
    """The settings of a test that somebody said, and who did, by their names; ``cpus`` is how many its harness has."""
    values: dict[str, object] = {}
    sources: dict[str, str] = {}

    def lay(source: str, layer: Mapping[str, object]) -> None:
        for key, value in layer.items():
            if value is not None:
                values[key] = value
                sources[key] = source

    lay("default", _defaults(cell.scenario))
    recipe = workload.benchmark.scenarios.get(cell.scenario)  # type: ignore[call-overload]  # a Scenario by its check
    lay("recipe", {} if recipe is None else recipe.model_dump())
    if workload.benchmark.roles:
        lay("recipe", {PROCESSES: workload.benchmark.roles[CLIENT].processes})
    # What was found on another number of processors says nothing about this one.
    if choices.system.get("cpus", cpus) == cpus:
        lay("system", {key: value for key, value in choices.system.items() if key in (*_KEYS, *_EXECUTION, PRECISION)})
    lay("calibrated", choices.calibrated)
    lay("searched", choices.searched)
    if cell.test is not None:
        known = {
            key: value for key, value in choices.compared_settings.items() if key in (*_KEYS, *_EXECUTION, PRECISION)
        }
        lay("performance run", known)
    if choices.official and workload.official is not None:
        lay(f"round {workload.official.round}", _official(cell.scenario, workload.official, values))
    lay("command line", {"min_duration_ms": choices.min_duration_ms})
    if SCENARIOS[cell.scenario].has_rate:
        lay("command line", {"target_qps": choices.target_qps})
    return values, sources


def _defaults(name: str) -> dict[str, object]:
    scenario = SCENARIOS[name]
    return {
        "min_duration_ms": DEFAULT_MIN_DURATION_MS,
        "max_duration_ms": 0,
        "min_query_count": scenario.min_queries,
        "target_latency_percentile": scenario.percentile,
        "samples_per_query": scenario.samples_per_query,
    }


def _official(scenario: str, rules: OfficialTest, values: Mapping[str, object]) -> dict[str, object]:
    """The round's least duration and queries, and no upper bound; a recipe may ask for more queries."""
    at_least = rules.min_queries.get(scenario, 1)
    given = values.get("min_query_count")
    count = max(at_least, given) if isinstance(given, int) else at_least
    return {"min_duration_ms": rules.min_duration_ms, "max_duration_ms": 0, "min_query_count": count}


def _model(workload: Workload) -> dict[str, object]:
    benchmark, model = workload.benchmark, workload.model
    backend = workload.harness.backends[workload.framework]
    return {
        "path": f"/models/{model.name}/{model.files.get(backend) or weights_file(model)}",
        "inputs": [each.model_dump() for each in benchmark.tensors],
        "outputs": list(benchmark.output_names),
    }


def weights_file(model: Model) -> str:
    """The file or folder of a model that a program loads: the first that its format names, else the first."""
    names = [out.path for out in model.outputs]
    return next((name for name in names if name.endswith(f".{model.format}")), names[0])


def _dataset(workload: Workload) -> dict[str, object]:
    dataset = workload.dataset
    return {
        "arrays": {name: f"/data/{dataset.name}/{path}" for name, path in dataset.all_arrays.items()},
        "samples": dataset.samples,
        "performance_samples": _performance_samples(workload),
        "show": not why_not_shown(dataset),
    }


def _performance_samples(workload: Workload) -> int:
    return min(workload.benchmark.performance_samples, workload.dataset.samples)
