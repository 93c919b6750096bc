"""Power without an analyser: what counters of this host say of its processors and accelerators, and with what doubt.

Not what a wall socket gives: losses of the power supply, fans, disks and most of the board are in no counter.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass
from types import MappingProxyType

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "not-root": "only root may read the processors' counters (RAPL) here, so they are not in the figure",
        "virtual-machine": "this is a virtual machine, which sees no counters of the processors",
        "no-counters": "this host has no counters of its processors (no /sys/class/powercap/intel-rapl:*)",
        "no-device-reader": "no program that reads the power of the accelerators is here (nvidia-smi, amd-smi)",
        "device-not-read": "an accelerator of the test did not say its power",
        "other-load": "other programs used the test's processors, and their power is in the figure",
        "counter-wrapped": "a counter began anew in the test; it was counted on, which is right for one time",
        "sampling-gap": "samples are missing for seconds, so the figure may be off",
        "too-short": "the test was too short for a sample a second",
    }
)
"""Why a figure is doubtful, or none, by code."""
OTHER_LOAD = 0.05
"""Of a test's processors, the share of others from which on it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergySource:
    """One counter: ``kind`` is ``rapl``, ``nvml`` or ``rocm``; None where it gave nothing, with the reasons' codes."""

    name: str
    kind: str
    joules: float | None = None
    watts: float | None = None
    samples: int = 0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InformalPower:
    """The sum over the sources that gave a figure, over the ``seconds`` of the test; ``reasons`` by their codes."""

    seconds: float
    joules: float | None = None
    watts: float | None = None
    sources: tuple[EnergySource, ...] = ()
    reasons: tuple[str, ...] = ()


def counted(readings: Sequence[int], largest: int) -> tuple[int, int]:
    """How far a counter went that begins anew after ``largest`` (0: not known), and how often it did."""
    total, wraps = 0, 0
    for before, after in itertools.pairwise(readings):
        if after < before:
            wraps += 1
            total += max(0, largest - before) + after
        else:
            total += after - before
    return total, wraps


def mean_watts(samples: Sequence[tuple[float, float]]) -> float:
    """The mean of (seconds, watts) over their time, each pair as the trapezium between them; at least two samples."""
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(samples))
    return area / (samples[-1][0] - samples[0][0])


def informal_power(
    sources: Sequence[EnergySource], seconds: float, reasons: Sequence[str], others: float | None
) -> InformalPower:
    """The figure of all sources; ``others`` is the share of the test's processors that others used, where known."""
    known = [one for one in sources if one.joules is not None and one.watts is not None]
    found = [*reasons, *(code for one in sources for code in one.reasons)]
    if known and others is not None and others > OTHER_LOAD:
        found.append("other-load")
    return InformalPower(
        seconds=round(seconds, 3),
        joules=round(sum(one.joules or 0.0 for one in known), 3) if known else None,
        watts=round(sum(one.watts or 0.0 for one in known), 3) if known else None,
        sources=tuple(sources),
        reasons=tuple(dict.fromkeys(found)),
    )
