"""The axes of a campaign with their values written out, and how many cells they make; pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.campaigns import Range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.kinds.campaigns import Campaign

OPTIONS = (
    *("benchmark", "scenario", "mode", "target", "arch", "round", "duration", "target_qps"),
    *("devices", "cpus", "roles", "timeout"),
)
"""Axes that are options of `mlorch run`; every other one is a key of ``--set``."""
MODES = ("performance", "accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixAxis:
    """An axis, or several that step together: its ``steps`` are the values that its names have at once."""

    names: tuple[str, ...]
    steps: tuple[tuple[str, ...], ...]


def values_of(campaign: Campaign, name: str) -> tuple[str, ...]:
    """The values of one axis in the order of the text; none where there is no such axis."""
    given = campaign.matrix.get(name, ())
    if isinstance(given, Range):
        return given.values
    return (given,) if isinstance(given, str) else given


def matrix_axes(campaign: Campaign) -> tuple[MatrixAxis, ...]:
    """The axes in the order of the text, those that step together at the place of their first.

    The campaign is one that `check_campaign` found well formed.
    """
    together = {name: names for names in campaign.zip for name in names}
    found, seen = [], set[str]()
    for name in campaign.matrix:
        if name in seen:
            continue
        names = together.get(name, (name,))
        seen.update(names)
        columns = [values_of(campaign, each) for each in names]
        found.append(MatrixAxis(names=names, steps=tuple(zip(*columns, strict=True))))
    return tuple(found)


def combinations(axes: Sequence[MatrixAxis]) -> int:
    """How many combinations the axes have, without writing them out."""
    return prod(len(axis.steps) for axis in axes)
