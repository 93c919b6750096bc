"""The tests of a run: which scenarios in which modes, and how long each shall take. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.facts.compliance import MODE as COMPLIANCE
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.facts.compliance import ComplianceTest

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
NO_TESTS: Mapping[str, Sequence[ComplianceTest]] = MappingProxyType({})
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: a scenario in a mode; in compliance mode the test that is made."""

    scenario: str
    mode: str
    test: ComplianceTest | None = None

    @property
    def name(self) -> str:
        """What the test is called beside its scenario: its mode, or the name of the compliance test."""
        return self.mode if self.test is None else self.test.name


def cells_of(
    scenarios: Iterable[str],
    *,
    asked: Sequence[str] = (),
    mode: str = "all",
    every_accuracy: bool = False,
    benchmark: str = "",
    compliance: Mapping[str, Sequence[ComplianceTest]] = NO_TESTS,
) -> tuple[Cell, ...]:
    """The tests that a benchmark with ``scenarios`` runs, accuracy first, compliance last.

    ``asked`` names scenarios (none or ``all``: every one that the benchmark has).
    Accuracy is a property of the model, not of the scenario, so one accuracy test
    in the first scenario serves them all, unless ``every_accuracy``: an official
    submission has one in each. ``benchmark`` is its name in errors. ``compliance`` has the
    compliance tests of each scenario; in compliance mode they come after what they are compared with.
    Raises `UsageError` for a scenario that the benchmark does not have.
    """
    wanted = asked_scenarios(scenarios, asked, benchmark)
    audits = [Cell(scenario=name, mode=COMPLIANCE, test=test) for name in wanted for test in compliance.get(name, ())]
    compared = {(cell.scenario, mode) for cell in audits if cell.test is not None for mode in cell.test.compared_with}
    accuracy: Sequence[str] = ()
    if mode in {"accuracy", "all"}:
        accuracy = wanted if every_accuracy else wanted[:1]
    performance = wanted if mode in {"performance", "all"} else ()
    tests = [
        Cell(scenario=name, mode=kind)
        for kind, measured in (("accuracy", accuracy), ("performance", performance))
        for name in wanted
        if name in measured or (name, kind) in compared
    ]
    return (*tests, *audits)


def asked_scenarios(scenarios: Iterable[str], asked: Sequence[str], benchmark: str = "") -> list[str]:
    """Those of a benchmark's ``scenarios`` that are asked for, in MLPerf's order; raises as `cells_of`."""
    available, of = set(scenarios), f"benchmark `{benchmark}`" if benchmark else "the benchmark"
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
