"""Where everything of a latency chart stands: log axis in nanoseconds, percentiles marked. Pure.

`templates/chart.svg.j2` draws it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.metrics import nanoseconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.results.histogram import Histogram

_MARKED = ("p50", "p90", "p99", "p99.9")
_CHARACTER = 6.6
"""Mean width of a character of the labels in user units, to keep them apart."""
_ROW = 16
_MARGIN = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A number of the axis and where its text is held: at its start, middle or end."""

    x: float
    text: str
    anchor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A rectangle with a title for who points at it."""

    x: float
    y: float
    width: float
    height: float
    kind: str = "bar"
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A vertical line from ``y`` down to the axis, with a label."""

    x: float
    y: int
    label: str
    label_x: float
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """All parts of one picture in user units; ``top`` and ``floor`` bound the bars."""

    width: int
    height: int
    left: float
    right: float
    top: int
    floor: int
    ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]
    whisker: tuple[float, float] | None
    """Without bars of a histogram: where a line from min to max begins and ends."""
    marks: tuple[Mark, ...]

    @property
    def label(self) -> str:
        """The picture in words."""
        return ", ".join(mark.label for mark in self.marks)


@dataclass(frozen=True, slots=True)
class _Axis:
    """A log axis from ``low`` to ``high`` ns over ``left`` … ``right`` user units."""

    low: float
    high: float
    left: float
    right: float

    def x(self, value: float) -> float:
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.left + min(1.0, share) * (self.right - self.left)

    def ticks(self) -> list[float]:
        """1, 2, 5 of each decade where there is room, else powers of ten."""
        inside = [tick for tick in self._round_numbers() if self.low <= tick <= self.high]
        return inside if len(inside) > 1 else [self.low * 1.02, self.high / 1.02]

    def _round_numbers(self) -> list[float]:
        decades = math.log10(self.high / self.low)
        room = (self.right - self.left) / 62
        factors: tuple[int, ...] = (1,)
        if decades * 3 <= room:
            factors = (1, 2, 5)
        elif decades * 2 <= room:
            factors = (1, 3)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        return [factor * 10.0**power for power in powers for factor in factors]


@dataclass(frozen=True, slots=True)
class _Percentile:
    label: str
    value: float
    kind: str = "mark"


def latency_chart(
    latency_ns: Mapping[str, int], histogram: Histogram | None, *, width: int = 720, limit_ns: float | None = None
) -> Chart | None:
    """The distribution as a chart; with percentiles only, where there is no histogram.

    ``limit_ns`` is the scenario's latency limit. None without any latency.
    """
    if not latency_ns.get("min") or not latency_ns.get("max"):
        return None
    percentiles = _percentiles(latency_ns, limit_ns)
    axis = _axis(latency_ns, histogram, percentiles, width)
    marks = _marks(percentiles, axis)
    top = max((mark.y for mark in marks), default=-3) + 11
    height = top + (170 if histogram else 56)
    floor = height - 26
    return Chart(
        width=width,
        height=height,
        left=axis.left,
        right=axis.right,
        top=top,
        floor=floor,
        ticks=tuple(_tick(tick, axis) for tick in axis.ticks()),
        bars=_counted(histogram, axis, top, floor) if histogram else _boxes(latency_ns, axis, (top + floor) / 2),
        whisker=None if histogram else (axis.x(latency_ns["min"]), axis.x(latency_ns["max"])),
        marks=tuple(marks),
    )


def _percentiles(latency_ns: Mapping[str, int], limit_ns: float | None) -> list[_Percentile]:
    """What is marked: the percentiles that are known, and the limit."""
    found = []
    for name in _MARKED:
        if name in latency_ns:
            found.append(_Percentile(f"{name} {nanoseconds(latency_ns[name])}", latency_ns[name]))
    if limit_ns:
        found.append(_Percentile(f"limit {nanoseconds(limit_ns)}", limit_ns, "limit"))
    return found


def _axis(
    latency: Mapping[str, int], histogram: Histogram | None, percentiles: Sequence[_Percentile], width: int
) -> _Axis:
    values = [latency["min"], latency["max"], *(one.value for one in percentiles if one.value > 0)]
    if histogram:
        bars = histogram.bars(len(histogram.counts))
        values += [bars[0].low, bars[-1].high]
    low, high = min(values) / 1.06, max(values) * 1.06
    if high < low * 1.6:  # a very narrow distribution still gets an axis that one can read
        middle = math.sqrt(low * high)
        low, high = middle / 1.3, middle * 1.3
    return _Axis(low, high, _MARGIN, width - _MARGIN)


def _round(value: float) -> str:
    """A round tick without digits that say nothing."""
    return f"{value:.3g}"


def _tick(tick: float, axis: _Axis) -> Tick:
    x = axis.x(tick)
    anchor = "middle"
    if x < axis.left + 24:
        anchor = "start"
    elif x > axis.right - 24:
        anchor = "end"
    return Tick(x=x, text=nanoseconds(tick, _round), anchor=anchor)


def _counted(histogram: Histogram, axis: _Axis, top: float, floor: float) -> tuple[Bar, ...]:
    """A bar for each latency that was counted."""
    counted = histogram.bars(max(24, int((axis.right - axis.left) / 7)))
    tallest = max(one.count for one in counted) or 1
    bars = []
    for one in counted:
        if not one.count:
            continue
        left, right = axis.x(one.low), axis.x(one.high)
        # A single slow query in a million is what one looks for: it stays visible.
        tall = max(1.5, (floor - top - 6) * one.count / tallest)
        share = 100 * one.count / histogram.samples
        title = f"{nanoseconds(one.low)} to {nanoseconds(one.high)}: {one.count:,} ({share:.2f} %)"
        bars.append(Bar(x=left, y=floor - tall, width=max(1.0, right - left - 0.8), height=tall, title=title))
    return tuple(bars)


def _boxes(latency: Mapping[str, int], axis: _Axis, middle: float) -> tuple[Bar, ...]:
    """Without a histogram: a box from the median to p90, a lighter one to p99."""
    boxes = []
    for low, high, kind in (("p90", "p99", "bar light"), ("p50", "p90", "bar")):
        if low in latency and high in latency:
            left, right = axis.x(latency[low]), axis.x(latency[high])
            boxes.append(Bar(x=left, y=middle - 10, width=max(1.0, right - left), height=20, kind=kind))
    return tuple(boxes)


def _marks(percentiles: Sequence[_Percentile], axis: _Axis) -> list[Mark]:
    """Each label in the lowest row in which it touches none before it."""
    taken: list[tuple[int, float, float]] = []
    marks = []
    for one in percentiles:
        left = _label_x(one, axis)
        right = left + len(one.label) * _CHARACTER
        row = 0
        while any(r == row and left < end + 6 and right > begin - 6 for r, begin, end in taken):
            row += 1
        taken.append((row, left, right))
        marks.append(Mark(x=axis.x(one.value), y=13 + row * _ROW, label=one.label, label_x=left, kind=one.kind))
    return marks


def _label_x(one: _Percentile, axis: _Axis) -> float:
    """Where a label begins: right of its line, or left of it at the end of the axis."""
    x, wide = axis.x(one.value), len(one.label) * _CHARACTER
    return x + 4 if x + 4 + wide <= axis.right + _MARGIN - 2 else x - 4 - wide
