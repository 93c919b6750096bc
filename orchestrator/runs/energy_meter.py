"""What the host's counters say of a test's power, read beside it once a second while the harness measures."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.facts.energy import EnergySource, counted, informal_power, mean_watts
from orchestrator.host.energy import RAPL, counters, gauges
from orchestrator.runs.sampled_window import SampledWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.facts.energy import InformalPower
    from orchestrator.host.energy import Counter, Gauges

GAP_S = 3.0
"""Seconds without a sample that are told."""


@dataclass(slots=True, kw_only=True)
class EnergyMeter(SampledWindow):
    """Reads while its block lasts and the harness's test does; `found` has the figure."""

    root: Path = Path("/")
    find_gauges: Callable[..., tuple[tuple[Gauges, ...], str]] = gauges
    _counters: tuple[Counter, ...] = ()
    _gauges: tuple[Gauges, ...] = ()
    _missing: tuple[str, ...] = ()
    _at: list[float] = field(default_factory=list)
    _counts: dict[str, list[int]] = field(default_factory=dict)
    _watts: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)

    def found(self, others: float | None) -> InformalPower:
        """The figure; ``others`` is the share of the test's processors that others used, None where nobody knows."""
        seconds = self._at[-1] - self._at[0] if len(self._at) > 1 else 0.0
        reasons = [*self._missing]
        sources = [*(self._counted(one, seconds) for one in self._counters), *map(self._gauged, self._watts)]
        if (self._counters or self._gauges) and not seconds:
            reasons.append("too-short")
        elif seconds and max(b - a for a, b in zip(self._at, self._at[1:], strict=False)) > GAP_S:
            reasons.append("sampling-gap")
        return informal_power(sources, seconds, reasons, others)

    # -- the window --------------------------------------------------------------------------

    def _prepare(self) -> bool:
        self._counters, no_counters = counters(self.root)
        self._gauges, no_gauges = self.find_gauges(self.step.device_injection.devices)
        self._missing = tuple(filter(None, (no_counters, no_gauges)))
        return bool(self._counters or self._gauges)

    def _at_begin(self) -> None:
        self._sample()

    def _at_end(self) -> None:
        self._sample()

    def _since_sample(self) -> float | None:
        return time.monotonic() - self._at[-1] if self._at else None

    def _sample_again(self) -> None:
        self._sample()

    def _sample(self) -> None:
        if not (self._counters or self._gauges):
            return
        self._at.append(time.monotonic())
        for counter in self._counters:
            value = counter.read()
            if value is not None:
                self._counts.setdefault(counter.name, []).append(value)
        for gauge in self._gauges:
            for name, watts in gauge.read().items():
                self._watts.setdefault((gauge.kind, name), []).append((time.monotonic(), watts))

    def _counted(self, counter: Counter, seconds: float) -> EnergySource:
        readings = self._counts.get(counter.name, [])
        if len(readings) < 2 or seconds <= 0:
            return EnergySource(name=counter.name, kind=RAPL, samples=len(readings))
        used, wraps = counted(readings, counter.largest)
        joules = used / 1e6
        return EnergySource(
            name=counter.name,
            kind=RAPL,
            joules=round(joules, 3),
            watts=round(joules / seconds, 3),
            samples=len(readings),
            reasons=("counter-wrapped",) if wraps else (),
        )

    def _gauged(self, key: tuple[str, str]) -> EnergySource:
        kind, name = key
        samples = self._watts[key]
        if len(samples) < 2:
            return EnergySource(name=name, kind=kind, samples=len(samples), reasons=("device-not-read",))
        watts = mean_watts(samples)
        return EnergySource(
            name=name,
            kind=kind,
            joules=round(watts * (samples[-1][0] - samples[0][0]), 3),
            watts=round(watts, 3),
            samples=len(samples),
            reasons=("device-not-read",) if len(samples) < len(self._at) else (),
        )
