"""Samples of several rows each: what MLPerf's DLRM is asked, a user with some hundred items, is one sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .samples import Column, Samples, opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from .backends import Array
    from .settings import Settings


class JoinedSamples(Samples):
    """As `Samples`, but a batch of n samples is the rows of all of them, one after the other: [rows, ...].

    Nothing is padded, so that none but its rows is computed, and any order of samples costs the same.
    """

    def __init__(self, settings: Settings) -> None:
        """Open the arrays; raises `ValueError` when they are not as the settings say."""
        counts = row_counts(settings)
        ends = counts.cumsum()
        self._columns = [Column(each, opened(settings, each.array, int(ends[-1]))) for each in settings.model.inputs]
        self._counts, self._starts = counts, ends - counts
        self._longest = int(counts.max())
        self._pieces: dict[int, slice] = {}
        """Where the rows of each loaded sample lie."""
        self.lengths = None

    def load(self, indexes: Sequence[int]) -> None:
        wanted = np.unique(np.asarray(indexes, np.int64))
        if self._pieces.keys() >= set(wanted.tolist()):
            return
        spans = zip(self._starts[wanted].tolist(), self._counts[wanted].tolist(), strict=True)
        rows = np.concatenate([np.arange(start, start + count) for start, count in spans])
        for column in self._columns:
            column.load(rows)
        ends = self._counts[wanted].cumsum().tolist()
        self._pieces = {
            sample: slice(start, end) for sample, start, end in zip(wanted.tolist(), [0, *ends], ends, strict=False)
        }

    def buffer(self, batch: int) -> list[Array]:
        return [column.buffer(batch * self._longest) for column in self._columns]

    def batch(self, indexes: Sequence[int] | Array, buffer: Sequence[Array]) -> list[Array]:
        pieces = [self._pieces[index] for index in indexes]
        return [column.joined(pieces, room) for column, room in zip(self._columns, buffer, strict=True)]


def row_counts(settings: Settings) -> npt.NDArray[np.int64]:
    """How many rows each sample has; raises `ValueError` where one has none."""
    counts = np.asarray(opened(settings, "lengths")).astype(np.int64)
    if counts.ndim != 1 or counts.min() < 1:
        raise ValueError("dataset.arrays.lengths: a number of rows for each sample was expected, one at least")
    return counts


def create(settings: Settings) -> Samples:
    """The samples of the settings, not loaded yet; raises `ValueError` as their classes do."""
    return JoinedSamples(settings) if settings.model.joined else Samples(settings)
