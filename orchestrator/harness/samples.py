"""The dataset: samples in memory as the model takes them, and batches of them without needless copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from .backends import Array
    from .settings import Input, Settings

PART = 256  # samples scaled at once: the temporary arrays stay small


class Samples:
    """Loads samples once, scaled, and hands out batches: an array for each input of the model.

    ``_rows[i]`` is the place of sample ``i`` among the loaded ones, -1 when it is not loaded. Inputs that vary in
    length lie padded in the dataset; a batch is as long as its longest sample.
    """

    def __init__(self, settings: Settings) -> None:
        """Open the arrays; raises `ValueError` when they are not as the settings say."""
        data = settings.dataset
        self._columns = [Column(each, opened(settings, each.array)) for each in settings.model.inputs]
        self.lengths: npt.NDArray[np.int64] | None = None
        """The length of each sample, where inputs vary."""
        if any(each.varies for each in settings.model.inputs):
            self.lengths = np.asarray(opened(settings, "lengths")).astype(np.int64)
        self._rows = np.full(data.samples, -1, np.int64)
        self._in_place = False  # sample i is row i

    def move(self, room: Callable[[tuple[int, ...], np.dtype[Any]], Array]) -> None:
        """Have what is loaded, and the buffers of batches from here on, in memory that ``room`` gives."""
        for column in self._columns:
            column.move(room)

    def load(self, indexes: Sequence[int]) -> None:
        """Have ``indexes`` in memory, in ascending order and without repeats; nothing to do if they are."""
        wanted = np.unique(np.asarray(indexes, np.int64))
        if len(wanted) and (self._rows[wanted] >= 0).all():
            return
        for column in self._columns:
            column.load(wanted)
        self._rows[:] = -1
        self._rows[wanted] = np.arange(len(wanted))
        self._in_place = bool(wanted[-1] == len(wanted) - 1)

    def buffer(self, batch: int) -> list[Array]:
        """Room for one batch, for `batch`; one for each thread."""
        return [column.buffer(batch) for column in self._columns]

    def batch(self, indexes: Sequence[int] | Array, buffer: Sequence[Array]) -> list[Array]:
        """The samples ``indexes``: views where they lie side by side, else gathered into ``buffer``."""
        rows = self._where(indexes)
        longest = None if self.lengths is None else int(self.lengths[indexes].max())
        return [column.taken(rows, longest, room) for column, room in zip(self._columns, buffer, strict=True)]

    def by_length(self, indexes: Sequence[int]) -> list[int] | None:
        """The places of ``indexes`` in the order of their samples' lengths; None where all are of one."""
        if self.lengths is None:
            return None
        order: list[int] = np.argsort(self.lengths[indexes], kind="stable").tolist()
        return order

    def _where(self, indexes: Sequence[int] | Array) -> slice | Array:
        """The rows of samples: a slice where they lie side by side."""
        count = len(indexes)
        if count == 1:
            row = self._rows[indexes[0]]
            return slice(row, row + 1)
        # Where sample i is row i, numpy takes the list of indexes as it is: that saves a few
        # microseconds a batch.
        rows: Any = indexes if self._in_place else self._rows[indexes]
        first = rows[0]
        if rows[-1] - first == count - 1 and (np.diff(rows) == 1).all():
            return slice(first, first + count)
        return rows  # type: ignore[no-any-return]


class Column:
    """One input of the model: its array of the dataset, and what is loaded of it."""

    def __init__(self, given: Input, stored: Array) -> None:
        self._stored = stored
        self._dtype, self._scale, self._varies = np.dtype(given.dtype), given.scale, given.varies
        self._room: Callable[[tuple[int, ...], np.dtype[Any]], Array] = np.empty
        self._loaded = self._rows(0)

    def move(self, room: Callable[[tuple[int, ...], np.dtype[Any]], Array]) -> None:
        self._room, loaded = room, self._loaded
        self._loaded = self._rows(len(loaded))
        self._loaded[...] = loaded

    def _rows(self, count: int) -> Array:
        return self._room((count, *self._stored.shape[1:]), self._dtype)

    def load(self, wanted: npt.NDArray[np.int64]) -> None:
        self._loaded = self._rows(len(wanted))
        for start in range(0, len(wanted), PART):
            part = wanted[start : start + PART]
            self._scaled(self._stored[part], self._loaded[start : start + len(part)])

    def _scaled(self, stored: Array, out: Array) -> None:
        if self._scale == 1:
            out[...] = stored
        else:
            np.multiply(stored, self._dtype.type(self._scale), out=out, casting="unsafe")

    def buffer(self, rows: int) -> Array:
        return self._rows(0 if self._varies else rows)

    def taken(self, rows: slice | Array, longest: int | None, room: Array) -> Array:
        if self._varies:
            return np.ascontiguousarray(self._loaded[rows, :longest])
        if isinstance(rows, slice):
            return self._loaded[rows]
        # mode="clip" lets numpy write straight into the buffer; every row is in range.
        gathered: Array = self._loaded.take(rows, axis=0, out=room[: len(rows)], mode="clip")  # type: ignore[call-overload]  # integers
        return gathered

    def joined(self, pieces: Sequence[slice], room: Array) -> Array:
        """Pieces one after the other: a view of one, several in ``room``."""
        parts = [self._loaded[piece] for piece in pieces]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts, out=room[: sum(map(len, parts))])


def opened(settings: Settings, name: str, rows: int | None = None) -> Array:
    """An array of the data set; raises `ValueError` where it has not so many rows (None: one for each sample)."""
    found: Array = np.load(settings.dataset.arrays[name], mmap_mode="r", allow_pickle=False)
    wanted = settings.dataset.samples if rows is None else rows
    if len(found) != wanted:
        what = "samples" if rows is None else "rows"
        raise ValueError(f"dataset.arrays.{name} hold {len(found)} {what}, the settings say {wanted}")
    return found
