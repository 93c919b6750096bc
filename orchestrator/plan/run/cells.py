"""The tests of a run: which scenarios in which modes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: a scenario in a mode."""

    scenario: str
    mode: str


def cells_of(
    scenarios: Iterable[str], *, asked: Sequence[str] = (), mode: str = "all", every_accuracy: bool = False
) -> tuple[Cell, ...]:
    """The tests that a benchmark with ``scenarios`` runs, accuracy first.

    ``asked`` names scenarios (none or ``all``: every one that the benchmark has).
    Accuracy is a property of the model, not of the scenario, so one accuracy test
    in the first scenario serves them all, unless ``every_accuracy``: an official
    submission has one in each. Raises `UsageError` for a scenario that the benchmark does not have.
    """
    wanted = _wanted(set(scenarios), asked)
    tests: list[Cell] = []
    if mode in {"accuracy", "all"}:
        measured = wanted if every_accuracy else wanted[:1]
        tests += [Cell(scenario=name, mode="accuracy") for name in measured]
    if mode in {"performance", "all"}:
        tests += [Cell(scenario=name, mode="performance") for name in wanted]
    return tuple(tests)


def _wanted(available: set[str], asked: Sequence[str]) -> list[str]:
    """The scenarios to run, in MLPerf's order."""
    has = [name for name in SCENARIOS if name in available]
    if not asked or "all" in asked:
        return has
    wanted = [name for name in SCENARIOS if name in asked]
    for name in wanted:
        if name not in available:
            raise UsageError(
                f"the benchmark has no scenario {name}", hint=f"it has {', '.join(has)}", slug="unknown-scenario"
            )
    return wanted
