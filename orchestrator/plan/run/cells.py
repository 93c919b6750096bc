"""The tests of a run: which scenarios in which modes, and how long each shall take. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: a scenario in a mode."""

    scenario: str
    mode: str


def cells_of(
    scenarios: Iterable[str],
    *,
    asked: Sequence[str] = (),
    mode: str = "all",
    every_accuracy: bool = False,
    benchmark: str = "",
) -> tuple[Cell, ...]:
    """The tests that a benchmark with ``scenarios`` runs, accuracy first.

    ``asked`` names scenarios (none or ``all``: every one that the benchmark has).
    Accuracy is a property of the model, not of the scenario, so one accuracy test
    in the first scenario serves them all, unless ``every_accuracy``: an official
    submission has one in each. ``benchmark`` is its name in errors.
    Raises `UsageError` for a scenario that the benchmark does not have.
    """
    wanted = _wanted(set(scenarios), asked, f"benchmark `{benchmark}`" if benchmark else "the benchmark")
    tests: list[Cell] = []
    if mode in {"accuracy", "all"}:
        measured = wanted if every_accuracy else wanted[:1]
        tests += [Cell(scenario=name, mode="accuracy") for name in measured]
    if mode in {"performance", "all"}:
        tests += [Cell(scenario=name, mode="performance") for name in wanted]
    return tuple(tests)


def _wanted(available: set[str], asked: Sequence[str], of: str) -> list[str]:
    """The scenarios to run, in MLPerf's order."""
    has = [name for name in SCENARIOS if name in available]
    if not asked or "all" in asked:
        return has
    wanted = [name for name in SCENARIOS if name in asked]
    for name in wanted:
        if name not in available:
            raise UsageError(f"{of} has no scenario {name}", hint=f"it has {', '.join(has)}", slug="unknown-scenario")
    return wanted


def duration_ms(text: str) -> int:
    """Milliseconds of ``10m``, ``30s``, ``1.5h`` or ``500ms``; raises `UsageError`, for a number without unit too."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None and _NUMBER.fullmatch(text.strip()):
        message = f"the duration `{text}` has no unit"
        raise UsageError(message, hint=f"write {text}s for seconds, or {text}m for minutes", slug="duration")
    value = round(float(match[1]) * _UNITS[match[2]]) if match else 0
    if not 1 <= value <= 24 * 3_600_000:
        message = f"`{text}` is not a duration between 1 ms and 24 h"
        raise UsageError(message, hint="write 30s, 10m or 600s", slug="duration")
    return value
