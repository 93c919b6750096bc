"""What the closed division asks beyond the open one: MLPerf's own model, its accuracy, and compliance tests. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.facts.compliance import CLOSED
from orchestrator.submissions.places import category_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from orchestrator.facts.record import RunRecord
    from orchestrator.facts.rounds import ModelRules, RoundRules
    from orchestrator.submissions.build.evidence import Evidence


def is_official(record: RunRecord, names: Collection[str]) -> bool:
    """Whether a run measured MLPerf's own model and data; of an older record the name of its benchmark says it."""
    return record.benchmark in names if record.official is None else record.official


def closed_faults(found: Evidence, rules: RoundRules, model: ModelRules) -> Iterator[str]:
    """Why a run cannot stand in the closed division that could stand in the open one."""
    record = found.record
    if record.scenario not in model.all_scenarios:
        yield f"{rules.name} has no {record.scenario} of {model.name}"
    for change in record.changed_rules:
        yield f"not by its recipe's rules: {change}"
    if found.summary.verdict == "FAILED":
        yield "; ".join(found.summary.reasons) or "its accuracy is below its goal"


def asked_tests(rules: RoundRules, model: str, division: str) -> tuple[str, ...]:
    """The compliance tests that a result of a model has to have; none in the open division."""
    known = rules.models.get(model)
    return known.compliance if division == CLOSED and known is not None else ()


def tests_of(usable: Iterable[Evidence], compared: Sequence[Evidence], asked: Sequence[str]) -> tuple[Evidence, ...]:
    """The newest of each test that was compared with exactly these runs; ``usable`` newest first."""
    runs = {one.record.run_id for one in compared}
    found: dict[str, Evidence] = {}
    for one in usable:
        fact = one.record.compliance
        if fact is not None and {run.run_id for run in fact.compared} <= runs:
            found.setdefault(fact.test, one)
    return tuple(found[name] for name in asked if name in found)


def missing_scenarios(
    shown: Mapping[tuple[str, str], Collection[str]], types: Mapping[str, str], rules: RoundRules
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each system and model that lacks scenarios, with those; ``shown`` has those that are there.

    ``types`` are those of the systems (`edge`). Where one of several is enough, and none is there, each is named.
    """
    for (system, name), there in shown.items():
        asked = rules.models[name].scenarios.get(category_of(types[system]))
        if asked is None:
            continue
        missing = [scenario for scenario in asked.required if scenario not in there]
        one_of = rules.needed_of(asked)
        if not set(one_of) & set(there):
            missing += [scenario for scenario in one_of if scenario not in missing]
        if missing:
            yield system, name, tuple(missing)
