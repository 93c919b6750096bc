"""Which compliance tests a benchmark needs in a round, and which of them cannot be made yet. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.facts.compliance import ComplianceTest
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.definitions.kinds.harnesses import Harness
    from orchestrator.facts.rounds import ModelRules, RoundRules


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceDemand:
    """What a round asks of a benchmark.

    ``tests`` are those that are made, by scenario. ``not_asked`` says of what the round asks no test, ``impossible``
    which tests it asks for that mlorch cannot make, and what is missing: a sentence each.
    """

    tests: Mapping[str, tuple[ComplianceTest, ...]] = field(default_factory=dict)
    not_asked: tuple[str, ...] = ()
    impossible: tuple[str, ...] = ()


NOTHING = ComplianceDemand()


def compliance_demand(
    rules: RoundRules | None, benchmark: Benchmark, harness: Harness, scenarios: Iterable[str], division: str
) -> ComplianceDemand:
    """The compliance tests of a benchmark in some of its scenarios, by the rules of its round (None: there is none).

    In the open division no test is asked for, in the others (`closed`, `network`) those of the model that the benchmark
    stands for, in each scenario that the round has of it.
    """
    if division == "open":
        return ComplianceDemand(not_asked=("the open division asks for no compliance test",))
    model = rules.models.get(benchmark.stands_for) if rules is not None else None
    if rules is None or model is None:
        why = f"benchmark `{benchmark.name}` stands for no model of a round, so no compliance test is asked of it"
        return ComplianceDemand(not_asked=(why,))
    if not model.compliance:
        return ComplianceDemand(not_asked=(f"{rules.name} asks for no compliance test of {model.name}",))
    wanted = set(scenarios)
    asked = _in_order(wanted & set(model.all_scenarios))
    outside = tuple(
        f"{rules.name} has no {name} of {model.name}, so it asks for no compliance test there"
        for name in _in_order(wanted - set(asked))
    )
    if not asked:
        return ComplianceDemand(not_asked=outside)
    lacking = {name: why for name in model.compliance if (why := _why_not(rules, name, benchmark, harness))}
    tests = tuple(_test(rules, model, name) for name in model.compliance if name not in lacking)
    return ComplianceDemand(
        tests={scenario: tests for scenario in asked if tests},
        not_asked=outside,
        impossible=tuple(lacking.values()),
    )


def _in_order(scenarios: set[str]) -> list[str]:
    return [name for name in SCENARIOS if name in scenarios]


def _why_not(rules: RoundRules, test: str, benchmark: Benchmark, harness: Harness) -> str:
    """What is missing for a test; empty where it can be made."""
    if test not in rules.compliance or not rules.compliance_layer:
        return f"{test} of {rules.name} cannot be made yet: no round says how its test is run and verified"
    if harness.program is not None:
        return (
            f"{test} of {benchmark.name} cannot be made yet: harness `{harness.name}` is a program of its own, "
            "which mlorch cannot give an audit.config"
        )
    return ""


def _test(rules: RoundRules, model: ModelRules, name: str) -> ComplianceTest:
    how = rules.compliance[name]
    return ComplianceTest(
        name=name,
        round=rules.name,
        audit={**how.audit, **model.audit.get(name, {})},
        compared_with=how.compared_with,
        command=how.command,
        files=how.files,
        passes=how.passes,
        fails=how.fails,
    )
