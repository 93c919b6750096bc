"""From the axes of a campaign to its cells, in a fixed order; pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from orchestrator.definitions.matrix import OPTIONS, combinations, matrix_axes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.definitions.kinds.campaigns import Campaign
    from orchestrator.definitions.matrix import MatrixAxis

Pairs = tuple[tuple[str, str], ...]
_OF_PERFORMANCE = frozenset(("duration", "target_qps", "mode"))
"""Axes that an accuracy does not depend on: it is over all samples, whatever their rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignCell:
    """One test of a campaign: the values of its axes in the order of the text, its mode, and which repetition it is.

    ``scenario`` is among the axes, or empty where the benchmark's first one is meant.
    """

    axes: Pairs
    mode: str
    repetition: int = 1

    def value(self, name: str, default: str = "") -> str:
        """The value of an axis."""
        for axis, value in self.axes:
            if axis == name:
                return value
        return default

    @property
    def changes(self) -> tuple[str, ...]:
        """The axes that are no option of a run, as ``--set`` takes them."""
        return tuple(f"{name}={value}" for name, value in self.axes if name not in OPTIONS)

    @property
    def title(self) -> str:
        """The cell in words: ``image-smoke Offline performance duration=10s``."""
        named = [self.value("benchmark"), self.value("scenario"), self.mode]
        named += [f"{axis}={value}" for axis, value in self.axes if axis not in {"benchmark", "scenario", "mode"}]
        return " ".join(filter(None, named)) + (f" #{self.repetition}" if self.repetition > 1 else "")

    @property
    def kind(self) -> tuple[str, str, str]:
        """What takes about as long: benchmark, scenario and mode."""
        return (self.value("benchmark"), self.value("scenario"), self.mode)

    @property
    def place(self) -> str:
        """Names the cell by its place in the matrix, whatever its recipe says: 16 hex digits."""
        text = "\0".join(f"{name}={value}" for name, value in sorted(self.axes))
        return hashlib.sha256(f"{text}\0{self.mode}\0{self.repetition}".encode()).hexdigest()[:16]


def expand(campaign: Campaign, scenarios: Mapping[str, tuple[str, ...]]) -> tuple[CampaignCell, ...]:
    """The cells of a campaign, the axis that stands first changing last, one repetition after the other.

    ``scenarios`` has those of each benchmark, which are all meant where no axis names any. Before the first
    performance test of a benchmark with an image and parameters stands the test of their accuracy.
    """
    axes = matrix_axes(campaign)
    cells: dict[CampaignCell, None] = {}
    beside: set[Pairs] = set()
    excluded = [{name: _values(given) for name, given in each.when.items()} for each in campaign.exclude]
    measured = [pairs for pairs in _combinations(campaign, axes) if not _excluded(excluded, pairs)]
    for repetition in range(1, campaign.repetitions + 1):
        for pairs in measured:
            for each in _with_scenarios(pairs, scenarios):
                cells |= dict.fromkeys(_tests(campaign, each, repetition, beside))
    return tuple(cells)


def _combinations(campaign: Campaign, axes: Sequence[MatrixAxis]) -> Iterator[Pairs]:
    steps = [[tuple(zip(axis.names, step, strict=True)) for step in axis.steps] for axis in axes]
    if campaign.sample is None:
        for combination in product(*steps):
            yield tuple(pair for part in combination for pair in part)
        return
    for number in sorted(_drawn(combinations(axes), campaign.sample.cells, campaign.sample.seed)):
        yield tuple(pair for part in _combination(steps, number) for pair in part)


def _combination(steps: Sequence[Sequence[Pairs]], number: int) -> Iterator[Pairs]:
    """The combination of this number, as `product` counts them."""
    parts = []
    for values in reversed(steps):
        number, index = divmod(number, len(values))
        parts.append(values[index])
    return reversed(parts)


def _drawn(total: int, count: int, seed: int) -> set[int]:
    """So many different numbers below ``total``, by chance: the same for a seed on every machine and Python."""
    if count >= total:
        return set(range(total))
    found: set[int] = set()
    draw = 0
    while len(found) < count:
        digest = hashlib.sha256(f"{seed}:{draw}".encode()).digest()
        found.add(int.from_bytes(digest[:16], "big") % total)
        draw += 1
    return found


def _values(given: str | tuple[str, ...]) -> frozenset[str]:
    return frozenset((given,) if isinstance(given, str) else given)


def _excluded(excluded: Sequence[Mapping[str, frozenset[str]]], pairs: Pairs) -> bool:
    values = dict(pairs) if excluded else {}
    return any(all(values.get(name) in given for name, given in each.items()) for each in excluded)


def _with_scenarios(pairs: Pairs, scenarios: Mapping[str, tuple[str, ...]]) -> Iterator[Pairs]:
    """One combination, in every scenario of its benchmark where none is named."""
    values = dict(pairs)
    if "scenario" in values:
        yield pairs
        return
    for name in scenarios.get(values["benchmark"], ()):
        yield (*pairs, ("scenario", name))


def _tests(campaign: Campaign, pairs: Pairs, repetition: int, beside: set[Pairs]) -> Iterator[CampaignCell]:
    """The test of a combination, after that of its accuracy where that is not among those ``beside`` others yet."""
    mode = next((value for name, value in pairs if name == "mode"), "performance")
    alone = tuple(pair for pair in pairs if pair[0] not in _OF_PERFORMANCE)
    if mode == "accuracy":
        yield CampaignCell(axes=alone, mode=mode, repetition=repetition)
        return
    subject = alone if campaign.accuracy == "each" else subject_of(pairs)
    if campaign.accuracy != "none" and subject not in beside:
        beside.add(subject)
        yield CampaignCell(axes=alone, mode="accuracy")
    yield CampaignCell(axes=tuple(pair for pair in pairs if pair[0] != "mode"), mode=mode, repetition=repetition)


def subject_of(pairs: Pairs) -> Pairs:
    """What an accuracy is of: cells with the same subject share it, in whatever scenario it was measured."""
    return tuple(pair for pair in pairs if pair[0] not in _OF_PERFORMANCE and pair[0] != "scenario")


def shard(cells: Sequence[CampaignCell], number: int, total: int) -> tuple[CampaignCell, ...]:
    """The part ``number`` (from 1) of ``total``, in the order of the whole.

    Tests of performance are dealt out one by one. That of an accuracy is in every part that needs it: machines that
    share nothing cannot vouch for each other.
    """
    performance = [cell for cell in cells if cell.mode == "performance"]
    mine = set(performance[number - 1 :: total])
    subjects = {subject_of(cell.axes) for cell in mine}
    needed = {subject_of(cell.axes) for cell in performance}
    alone = [cell for cell in cells if cell.mode != "performance" and subject_of(cell.axes) not in needed]
    mine |= set(alone[number - 1 :: total])
    return tuple(cell for cell in cells if cell in mine or (cell.mode != "performance" and _beside(cell, subjects)))


def _beside(cell: CampaignCell, subjects: set[Pairs]) -> bool:
    return subject_of(cell.axes) in subjects
