"""What a test drew, for people: in a table's cell, and as names and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.facts.energy import REASONS
from orchestrator.facts.metrics import number, text
from orchestrator.facts.power import MOST_APART_S

if TYPE_CHECKING:
    from orchestrator.facts.energy import InformalPower
    from orchestrator.facts.power import Clock, PowerFact
    from orchestrator.facts.record import RunRecord

SIMULATED = "simulated"
_PREFIXES = ((1.0, 1.0, "J"), (1e-3, 1e3, "mJ"))
_SMALLEST = (1e6, "µJ")


def power_text(fact: PowerFact | None) -> str:
    """The mean power, and what its reader must know of it: ``39.98 W``, ``39.98 W (simulated)``; ``–`` for none."""
    if fact is None or fact.watts is None:
        return "–"
    doubts = [SIMULATED] if fact.simulated else []
    doubts += [] if fact.passed else ["not by the rules"]
    return text(fact.watts, "W") + (f" ({', '.join(doubts)})" if doubts else "")


def power_cell(record: RunRecord) -> str:
    """A test's power in a table: an analyser's, else ``52.1 W (informal)`` by the host's counters."""
    informal = record.informal_power
    if record.power is not None or informal is None or informal.watts is None:
        return power_text(record.power)
    return f"{text(informal.watts, 'W')} (informal{', doubtful' if informal.reasons else ''})"


def informal_rows(fact: InformalPower) -> list[tuple[str, str]]:
    """The informal figure with what it is of, and why it is none or doubtful, as names and values."""
    rows = []
    if fact.watts is not None and fact.joules is not None:
        rows.append(("power, informal", f"{text(fact.watts, 'W')}, {joules(fact.joules)} in {fact.seconds:,.1f} s"))
        rows.append(("power is", "of the counters named here, not of the system at the wall: no submission takes it"))
    else:
        rows.append(("power, informal", "none"))
    for one in fact.sources:
        said = f"{text(one.watts, 'W')}, {one.samples:,} samples" if one.watts is not None else "gave nothing"
        rows.append((f"power of {one.name} ({one.kind})", said))
    return [*rows, *((f"power: {code}", REASONS.get(code, code)) for code in fact.reasons)]


def joules(value: float) -> str:
    """An energy in the unit that suits it: ``1.214 J``, ``6.101 mJ``."""
    scale, unit = next(((scale, unit) for least, scale, unit in _PREFIXES if abs(value) >= least), _SMALLEST)
    return f"{number(value * scale)} {unit}"


def power_rows(fact: PowerFact) -> list[tuple[str, str]]:
    """The measurement with its server, analyser, clocks and checks, as names and values."""
    return [*_figures(fact), *_who_measured(fact), *_verdicts(fact)]


def _figures(fact: PowerFact) -> list[tuple[str, str]]:
    rows = [("power", power_text(fact))]
    if fact.simulated:
        rows.append(("power is", "simulated: its analyser says that it is none, so no submission takes the figure"))
    if fact.watts is not None:
        rows.append(("power, measured", f"mean of {fact.samples:,} samples in {fact.seconds:,.1f} s of LoadGen's test"))
    rows += [
        (f"energy a {name}", joules(value))
        for name, value in (("query", fact.joules_per_query), ("sample", fact.joules_per_sample))
        if value is not None
    ]
    if fact.ranging_watts is not None:
        rows.append(("power in the ranging run", text(fact.ranging_watts, "W")))
    return rows


def _who_measured(fact: PowerFact) -> list[tuple[str, str]]:
    rows = [("analyser", one) for one in fact.analysers]
    rows.append(("power server", f"{fact.server}{f', {fact.protocol}' if fact.protocol else ''}"))
    rows += [(f"clock of {clock.of}", _clock_text(clock)) for clock in fact.clocks]
    return [*rows, ("power client", f"mlcommons/power-dev at {fact.commit[:12]}")]


def _verdicts(fact: PowerFact) -> list[tuple[str, str]]:
    rows = []
    if fact.checks:
        passed = sum(one.passed for one in fact.checks)
        rows.append(("MLCommons' check.py", f"{passed} of {len(fact.checks)} checks passed"))
    rows += [(one.name, one.why or "not passed") for one in fact.checks if not one.passed or one.why]
    return [*rows, *(("rule of power", fault) for fault in fact.faults)]


def _clock_text(clock: Clock) -> str:
    way = "ahead" if clock.ahead_s >= 0 else "behind"
    return f"{abs(clock.ahead_s) * 1000:.1f} ms {way} ({MOST_APART_S * 1000:g} ms are the most)"
