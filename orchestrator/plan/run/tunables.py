"""What `mlorch tune` may search for a test, from the recipe of its harness; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.definitions.kinds.tunables import Tunable
    from orchestrator.plan.run.workload import Workload

Values = dict[str, int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedParameter:
    """One dimension of a search: whole numbers from ``low`` to ``high``, or one of ``choices``.

    ``of_program`` says that it is a parameter of an external program, else it is a setting of our harness.
    """

    name: str
    low: int = 0
    high: int = 0
    log: bool = False
    choices: tuple[str, ...] = ()
    exact: bool = True
    of_program: bool = False


def searched_parameters(workload: Workload, scenario: str, cpus: int) -> tuple[SearchedParameter, ...]:
    """The dimensions of a search on so many processors; one with a single value is none.

    What the recipe's scenario fixes, or ``--set`` does, is no matter of a search.
    """
    program, harness = workload.harness.program, workload.harness
    backend = harness.backends[workload.framework]
    if program is not None:
        declared = {name: one.tune for name, one in program.parameters.items() if one.tune is not None}
        fixed = {name for name, each in workload.parameters.items() if each.source == "command line"}
    else:
        declared = {str(name): one for name, one in harness.tunables.items()}
        recipe = workload.benchmark.scenarios.get(scenario)  # type: ignore[call-overload]  # a Scenario by its check
        fixed = {name for name in declared if getattr(recipe, name, None) is not None}
    found = []
    for name, tunable in declared.items():
        if name in fixed or not _matters(tunable, scenario, backend):
            continue
        one = _dimension(name, tunable, cpus, of_program=program is not None)
        if one.choices or one.high > one.low:
            found.append(one)
    return tuple(found)


def _matters(tunable: Tunable, scenario: str, backend: str) -> bool:
    in_scenario = not tunable.scenarios or scenario in tunable.scenarios
    return in_scenario and (not tunable.backends or backend in tunable.backends)


def _dimension(name: str, tunable: Tunable, cpus: int, *, of_program: bool) -> SearchedParameter:
    high = cpus if tunable.max == "cpus" else tunable.max or 0
    return SearchedParameter(
        name=name,
        low=0 if tunable.choices else tunable.min,
        high=int(high),
        log=tunable.log,
        choices=tunable.choices,
        exact=tunable.exact,
        of_program=of_program,
    )


def fitting(values: Mapping[str, int | str], cpus: int) -> Values:
    """``values`` with a layout that fits on so many processors: an instance has no more threads than its share."""
    found = dict(values)
    instances, threads = found.get("instances"), found.get("threads")
    if isinstance(instances, int) and isinstance(threads, int):
        found["threads"] = max(1, min(threads, cpus // max(1, instances)))
    return found
