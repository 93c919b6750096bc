"""Campaigns: many tests as one file of axes, and what happens when one of them fails."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from orchestrator.definitions.kinds.base import Definition, Line, Strict

MOST_VALUES = 100_000
"""Of one axis, and cells of a campaign: somebody who asks for more has made a slip, or wants a sample."""
AxisName = Annotated[str, StringConstraints(pattern=r"^[a-z][A-Za-z0-9_]*(?:[.-][A-Za-z0-9_]+)*\Z", max_length=120)]
Value = Annotated[Line, StringConstraints(min_length=1, max_length=400)]
Number = Annotated[Decimal, Field(ge=-(10**15), le=10**15, decimal_places=9, allow_inf_nan=False)]
Time = Annotated[str, StringConstraints(pattern=r"^[0-9]+[smhd]\Z")]


class Range(Strict):
    """Numbers from one to another, both included: with a ``step`` between them, or each so many ``times`` the last."""

    first: Number = Field(alias="from")
    last: Number = Field(alias="to")
    step: Number | None = Field(default=None, gt=0)
    times: Number | None = Field(default=None, gt=1)

    @model_validator(mode="after")
    def _comes_to_an_end(self) -> Range:
        if (self.step is None) == (self.times is None):
            raise ValueError("a range has either `step` or `times`")
        if self.last < self.first:
            raise ValueError(f"`to` {self.last} is below `from` {self.first}")
        if self.times is not None and self.first <= 0:
            raise ValueError("with `times` a range begins above 0")
        if self.step is not None and (self.last - self.first) / self.step >= MOST_VALUES:
            raise ValueError(f"a range of more than {MOST_VALUES:,} numbers")
        if self.times is not None and self.first * self.times**1000 < self.last:
            raise ValueError("a range of more than 1,000 numbers")
        return self

    @property
    def values(self) -> tuple[str, ...]:
        """Its numbers as text, in order: decimal fractions, without the faults of binary ones."""
        found, at = [], self.first
        while at <= self.last:
            found.append(_text(at))
            at = at + self.step if self.step is not None else at * (self.times or 2)
        return tuple(found)


def _text(number: Decimal) -> str:
    whole = number.to_integral_value()
    return str(int(whole)) if whole == number else format(number.normalize(), "f")


def _form(value: object) -> str:
    if isinstance(value, dict | Range):
        return "range"
    return "list" if isinstance(value, list | tuple) else "text"


AxisValues = Annotated[
    Annotated[Value, Tag("text")]
    | Annotated[tuple[Value, ...], Field(min_length=1), Tag("list")]
    | Annotated[Range, Tag("range")],
    Discriminator(_form),
]
"""One value, a list, or a range of numbers: told apart first, so that a fault is of the one that is meant."""


def _exclusion_form(value: object) -> str:
    return "list" if isinstance(value, list | tuple) else "text"


ExcludedValues = Annotated[
    Annotated[Value, Tag("text")] | Annotated[tuple[Value, ...], Field(min_length=1), Tag("list")],
    Discriminator(_exclusion_form),
]


class Exclusion(Strict):
    """Combinations that are left out: all axes of ``when`` have the value, or one of the values, that it names."""

    when: dict[AxisName, ExcludedValues] = Field(min_length=1)
    because: Line = Field(default="", max_length=300)


class CellSample(Strict):
    """So many combinations of the axes, drawn by chance from all. The same seed draws the same ones, and a larger
    number of cells keeps those of a smaller one."""

    cells: int = Field(ge=1, le=MOST_VALUES)
    seed: int = 1


class CellPolicy(Strict):
    """What happens when a cell fails, or its result does not count."""

    retries: int = Field(default=0, ge=0, le=100)
    """How often a cell is tried again after a failure or an INVALID result, each time it is its turn."""
    timeout: Time | None = None
    """How long a test may take: ``30m``; an axis ``timeout`` says it for each cell."""
    stop_after: int | None = Field(default=None, ge=1)
    """After so many cells in a row that failed the campaign stops; without, it goes on to its end."""


class Campaign(Definition):
    """Many tests: the product of the axes of its ``matrix``, run one after the other, each in a folder of its own."""

    kind: Literal["campaign"]
    matrix: dict[AxisName, AxisValues] = Field(min_length=1)
    """Axis → its values. ``benchmark``, ``scenario``, ``mode``, ``target``, ``duration``, ``target_qps`` and other
    options of `mlorch run`; any other name is what ``--set`` takes: a choice, a field or a parameter of the recipe."""
    zip: tuple[tuple[AxisName, ...], ...] = ()
    """Axes that step together, as many values each: the first of one with the first of the other."""
    exclude: tuple[Exclusion, ...] = ()
    sample: CellSample | None = None
    repetitions: int = Field(default=1, ge=1, le=1000)
    """How often the whole matrix is measured, one round after the other."""
    accuracy: Literal["once", "each", "none"] = "once"
    """A test of the accuracy beside the performance of each benchmark with its image and parameters: ``once``, in
    ``each`` of its scenarios, or ``none``."""
    policy: CellPolicy = Field(default_factory=CellPolicy)
