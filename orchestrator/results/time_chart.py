"""Where everything of a chart over time stands: latencies, or in Offline how many samples were answered. Pure.

`templates/time.svg.j2` draws it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from orchestrator.facts.metrics import nanoseconds, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.results.timeline import Timeline

Points = tuple[tuple[float, float], ...]
_LEFT, _RIGHT, _TOP, _FLOOR, _HEIGHT = 68, 14, 10, 150, 178
_MOST_BARS = 40
_ROUND = (1, 2, 5)
_LONGEST_GAP = 8
"""Steps from one answer to the next, a twentieth of the picture, from which on no line joins them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisTick:
    """A number of an axis at ``at``, in user units."""

    at: float
    text: str
    anchor: str = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeChart:
    """All parts of one picture in user units. ``lines`` join the medians of steps, and break where nothing was
    answered; ``dots`` are the slowest of a step."""

    width: int
    height: int = _HEIGHT
    left: float = _LEFT
    right: float
    top: float = _TOP
    floor: float = _FLOOR
    x_ticks: tuple[AxisTick, ...]
    y_ticks: tuple[AxisTick, ...]
    lines: tuple[Points, ...]
    dots: tuple[Dot, ...] = ()
    label: str
    """The picture in words."""


def rate_chart(timeline: Timeline, *, width: int) -> TimeChart:
    """Samples answered a second; their latencies say nothing where all of them are asked at once."""
    merged = max(1, -(-len(timeline.counts) // _MOST_BARS))
    sums = [sum(timeline.counts[at : at + merged]) for at in range(0, len(timeline.counts), merged)]
    ends = [min(len(timeline.counts), at + merged) for at in range(0, len(timeline.counts), merged)]
    seconds = [(end - at * merged) * timeline.step_ns / 1e9 for at, end in enumerate(ends)]
    rates = [count / time for count, time in zip(sums, seconds, strict=True)]
    ticks = _linear_ticks(max(rates))
    top = ticks[-1]

    def y(value: float) -> float:
        return _FLOOR - (_FLOOR - _TOP) * value / top

    x = _Across(width, len(timeline.counts))
    return TimeChart(
        width=width,
        right=x.right,
        x_ticks=_seconds_ticks(timeline, x),
        y_ticks=tuple(AxisTick(at=y(tick), text=number(tick) if tick else "0") for tick in ticks),
        lines=(tuple((x.at((at * merged + ends[at]) / 2), y(rate)) for at, rate in enumerate(rates)),),
        label=f"samples a second, {_drift(rates, number)}",
    )


def latency_time_chart(timeline: Timeline, *, width: int) -> TimeChart:
    """The median latency in each step of time, and the slowest answer of each, on a log axis."""
    known = [(at, p50, most) for at, (p50, most) in enumerate(zip(timeline.p50, timeline.max, strict=True)) if most]
    medians = [p50 for _, p50, _ in known if p50 is not None]
    low, high = min(medians) / 1.1, max(most for _, _, most in known) * 1.1
    if high < low * 2:
        low, high = low / 1.5, high * 1.5

    def y(value: float) -> float:
        return _FLOOR - (_FLOOR - _TOP) * math.log(value / low) / math.log(high / low)

    x = _Across(width, len(timeline.counts))
    return TimeChart(
        width=width,
        right=x.right,
        x_ticks=_seconds_ticks(timeline, x),
        y_ticks=tuple(AxisTick(at=y(tick), text=nanoseconds(tick, _short)) for tick in _log_ticks(low, high)),
        lines=_unbroken([(at, (x.at(at + 0.5), y(p50))) for at, p50, _ in known if p50 is not None]),
        dots=tuple(Dot(x=x.at(at + 0.5), y=y(most), title=_dot_title(timeline, at, most)) for at, _, most in known),
        label=f"median latency, {_drift(medians, nanoseconds)}; slowest {nanoseconds(max(m for _, _, m in known))}",
    )


def _unbroken(points: Sequence[tuple[int, tuple[float, float]]]) -> tuple[Points, ...]:
    """The points of neighbouring steps together; a query that takes longer than some steps leaves them empty."""
    lines: list[list[tuple[float, float]]] = []
    before = -_LONGEST_GAP
    for at, point in points:
        if at - before >= _LONGEST_GAP:
            lines.append([])
        lines[-1].append(point)
        before = at
    return tuple(map(tuple, lines))


def _dot_title(timeline: Timeline, at: int, slowest: int) -> str:
    seconds = at * timeline.step_ns / 1e9
    return f"from {seconds:.3g} s: {timeline.counts[at]:,} answered, the slowest in {nanoseconds(slowest)}"


def _drift(values: Sequence[float], write: object) -> str:
    """How the first third of a test compares with the last: ``12.1 ms in the first third, 12.3 ms in the last``."""
    third = max(1, len(values) // 3)
    first, last = median(values[:third]), median(values[-third:])
    assert callable(write)
    return f"{write(first)} in the first third of the test, {write(last)} in the last"


class _Across:
    """The axis of time: steps from the left to the right."""

    def __init__(self, width: int, steps: int) -> None:
        self.right, self._steps = float(width - _RIGHT), steps

    def at(self, step: float) -> float:
        return _LEFT + (self.right - _LEFT) * step / self._steps


def _seconds_ticks(timeline: Timeline, x: _Across) -> tuple[AxisTick, ...]:
    whole = timeline.seconds
    room = max(2, int((x.right - _LEFT) / 80))
    step = _round_up(whole / room)
    count = int(whole / step + 1e-9)
    ticks = []
    for at in range(count + 1):
        place = x.at(at * step / whole * len(timeline.counts))
        anchor = "end" if place > x.right - 20 else "middle"
        ticks.append(AxisTick(at=place, text=f"{at * step:g} s", anchor=anchor))
    return tuple(ticks)


def _linear_ticks(largest: float) -> list[float]:
    """From zero to a round number that is not below the largest."""
    step = _round_up(largest / 4)
    return [at * step for at in range(math.ceil(largest / step - 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers within, about five of them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for factors in (_ROUND, (1, 3), (1,)):
        ticks = [each * 10.0**power for power in powers for each in factors if low <= each * 10.0**power <= high]
        if len(ticks) <= 6:
            break
    return ticks or [math.sqrt(low * high)]


def _round_up(value: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(each * power for each in (*_ROUND, 10) if each * power >= value * (1 - 1e-9))


def _short(value: float) -> str:
    return f"{value:.3g}"
