"""Inline SVG of a latency distribution: log axis in nanoseconds, percentiles marked. No script, no font."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from orchestrator.results.summary import nanoseconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.results.histogram import Histogram

_MARKED = ("p50", "p90", "p99", "p99.9")
_CHARACTER = 6.6
"""Mean width of a character of the labels in user units, to keep them apart."""
_ROW = 16
_MARGIN = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A vertical line at ``value`` ns with a label."""

    label: str
    value: float
    kind: str = "mark"


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
        decades = math.log10(self.high / self.low)
        room = (self.right - self.left) / 62
        factors = (1, 2, 5) if decades * 3 <= room else (1, 3) if decades * 2 <= room else (1,)
        found = [
            factor * 10.0**power
            for power in range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for factor in factors
        ]
        inside = [tick for tick in found if self.low <= tick <= self.high]
        return inside if len(inside) > 1 else [self.low * 1.02, self.high / 1.02]


def latency_chart(
    latency_ns: Mapping[str, int], histogram: Histogram | None, *, width: int = 720, limit_ns: float | None = None
) -> str:
    """The distribution as an SVG; with percentiles only, where there is no histogram.

    ``limit_ns`` is the scenario's latency limit. Empty text without any latency.
    """
    if not latency_ns.get("min") or not latency_ns.get("max"):
        return ""
    marks = [Mark(label=name, value=latency_ns[name]) for name in _MARKED if name in latency_ns]
    if limit_ns:
        marks.append(Mark(label="limit", value=limit_ns, kind="limit"))
    axis = _axis(latency_ns, histogram, marks, width)
    rows = _rows(marks, axis)
    top = (max(rows) + 1) * _ROW + 8 if rows else 8
    height = top + (170 if histogram else 56)
    floor = height - 26
    body = _bars(histogram, axis, top, floor) if histogram else _range(latency_ns, axis, top, floor)
    label = ", ".join(f"{mark.label} {nanoseconds(mark.value)}" for mark in marks)
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Latency: {escape(label)}">'
        f"{_grid(axis, top, floor)}{body}{_marks(marks, rows, axis, floor)}</svg>"
    )


def _axis(latency: Mapping[str, int], histogram: Histogram | None, marks: Sequence[Mark], width: int) -> _Axis:
    values = [latency["min"], latency["max"], *(mark.value for mark in marks if mark.value > 0)]
    if histogram:
        bars = histogram.bars(len(histogram.counts))
        values += [bars[0].low, bars[-1].high]
    low, high = min(values) / 1.06, max(values) * 1.06
    if high < low * 1.6:  # a very narrow distribution still gets an axis that one can read
        middle = math.sqrt(low * high)
        low, high = middle / 1.3, middle * 1.3
    return _Axis(low, high, _MARGIN, width - _MARGIN)


def _grid(axis: _Axis, top: float, floor: float) -> str:
    parts = [f'<line class="axis" x1="{axis.left}" x2="{axis.right}" y1="{floor}" y2="{floor}"/>']
    for tick in axis.ticks():
        x = axis.x(tick)
        anchor = "start" if x < axis.left + 24 else "end" if x > axis.right - 24 else "middle"
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{floor + 4}"/>')
        text = escape(_tick_text(tick))
        parts.append(f'<text class="tick" x="{x:.1f}" y="{floor + 19}" text-anchor="{anchor}">{text}</text>')
    return "".join(parts)


def _tick_text(tick: float) -> str:
    """``200 µs`` for a round tick: no digits that say nothing."""
    for limit, scale, unit in ((1e3, 1.0, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
        if tick < limit * 0.9999:
            return f"{tick / scale:.3g} {unit}"
    return f"{tick / 1e9:.3g} s"


def _bars(histogram: Histogram, axis: _Axis, top: float, floor: float) -> str:
    bars = histogram.bars(max(24, int((axis.right - axis.left) / 7)))
    tallest = max(bar.count for bar in bars) or 1
    parts = []
    for bar in bars:
        if not bar.count:
            continue
        left, right = axis.x(bar.low), axis.x(bar.high)
        # A single slow query in a million is what one looks for: it stays visible.
        tall = max(1.5, (floor - top - 6) * bar.count / tallest)
        share = 100 * bar.count / histogram.samples
        story = f"{nanoseconds(bar.low)} to {nanoseconds(bar.high)}: {bar.count:,} ({share:.2f} %)"
        parts.append(
            f'<rect class="bar" x="{left:.1f}" y="{floor - tall:.1f}" width="{max(1.0, right - left - 0.8):.1f}" '
            f'height="{tall:.1f}"><title>{escape(story)}</title></rect>'
        )
    return "".join(parts)


def _range(latency: Mapping[str, int], axis: _Axis, top: float, floor: float) -> str:
    """Without a histogram: a line from min to max, a box from the median to p90, a lighter one to p99."""
    middle = (top + floor) / 2
    first, last = axis.x(latency["min"]), axis.x(latency["max"])
    parts = [f'<line class="whisker" x1="{first:.1f}" x2="{last:.1f}" y1="{middle}" y2="{middle}"/>']
    parts += [
        f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{middle - 6}" y2="{middle + 6}"/>' for x in (first, last)
    ]
    for low, high, kind in (("p90", "p99", "bar light"), ("p50", "p90", "bar")):
        if low in latency and high in latency:
            left, right = axis.x(latency[low]), axis.x(latency[high])
            parts.append(
                f'<rect class="{kind}" x="{left:.1f}" y="{middle - 10}" '
                f'width="{max(1.0, right - left):.1f}" height="20"/>'
            )
    return "".join(parts)


def _label(mark: Mark) -> str:
    return f"{mark.label} {nanoseconds(mark.value)}"


def _start(mark: Mark, axis: _Axis) -> float:
    """Where a mark's label begins: right of its line, or left of it at the end of the axis."""
    x, wide = axis.x(mark.value), len(_label(mark)) * _CHARACTER
    return x + 4 if x + 4 + wide <= axis.right + _MARGIN - 2 else x - 4 - wide


def _rows(marks: Sequence[Mark], axis: _Axis) -> list[int]:
    """The row of each label, the lowest in which it touches none before it."""
    taken: list[tuple[int, float, float]] = []
    rows = []
    for mark in marks:
        left = _start(mark, axis)
        right = left + len(_label(mark)) * _CHARACTER
        row = 0
        while any(r == row and left < end + 6 and right > begin - 6 for r, begin, end in taken):
            row += 1
        taken.append((row, left, right))
        rows.append(row)
    return rows


def _marks(marks: Sequence[Mark], rows: Sequence[int], axis: _Axis, floor: float) -> str:
    """Lines first, so that no line crosses a label."""
    lines, labels = [], []
    for mark, row in zip(marks, rows, strict=True):
        x, y = axis.x(mark.value), 13 + row * _ROW
        lines.append(f'<line class="{mark.kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 10}" y2="{floor}"/>')
        left = _start(mark, axis)
        labels.append(f'<text class="{mark.kind}" x="{left:.1f}" y="{y}">{escape(_label(mark))}</text>')
    return "".join([*lines, *labels])
