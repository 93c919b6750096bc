"""The dataset: samples in memory as the model takes them, and batches of them without needless copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from .backend import Array
    from .settings import Settings

PART = 256  # samples scaled at once: the temporary arrays stay small


class Samples:
    """Loads samples once, scaled, and hands out batches.

    ``_rows[i]`` is the place of sample ``i`` in ``_loaded``, -1 when it is not loaded.
    """

    def __init__(self, settings: Settings) -> None:
        """Open both files; raises `ValueError` when they are not as the settings say."""
        data, model = settings.dataset, settings.model
        self._stored = np.load(data.inputs, mmap_mode="r", allow_pickle=False)
        self.labels: npt.NDArray[np.int64] = np.load(data.labels, allow_pickle=False).astype(np.int64)
        for name, found in (("inputs", len(self._stored)), ("labels", len(self.labels))):
            if found != data.samples:
                raise ValueError(f"dataset.{name} hold {found} samples, the settings say {data.samples}")
        self._dtype, self._scale = np.dtype(model.input.dtype), model.input.scale
        self._loaded = np.empty((0, *self._stored.shape[1:]), self._dtype)
        self._rows = np.full(data.samples, -1, np.int64)
        self._in_place = False  # sample i is row i

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return tuple(self._stored.shape[1:])

    def load(self, indexes: Sequence[int]) -> None:
        """Have ``indexes`` in memory, in ascending order and without repeats; nothing to do if they are."""
        wanted = np.unique(np.asarray(indexes, np.int64))
        if len(self._loaded) and (self._rows[wanted] >= 0).all():
            return
        self._loaded = np.empty((len(wanted), *self.shape), self._dtype)
        for start in range(0, len(wanted), PART):
            part = wanted[start : start + PART]
            self._scaled(self._stored[part], self._loaded[start : start + len(part)])
        self._rows[:] = -1
        self._rows[wanted] = np.arange(len(wanted))
        self._in_place = bool(wanted[-1] == len(wanted) - 1)

    def _scaled(self, stored: Array, out: Array) -> None:
        if self._scale == 1:
            out[...] = stored
        else:
            np.multiply(stored, self._dtype.type(self._scale), out=out, casting="unsafe")

    def buffer(self, batch: int) -> Array:
        """Room for one batch, for `batch`; one for each thread."""
        return np.empty((batch, *self.shape), self._dtype)

    def batch(self, indexes: Sequence[int] | Array, buffer: Array) -> Array:
        """The samples ``indexes``: a view where they lie side by side, else gathered into ``buffer``."""
        count = len(indexes)
        if count == 1:
            row = self._rows[indexes[0]]
            return self._loaded[row : row + 1]
        # Where sample i is row i, numpy takes the list of indexes as it is: that saves a few
        # microseconds a batch.
        rows: Any = indexes if self._in_place else self._rows[indexes]
        first = rows[0]
        if rows[-1] - first == count - 1 and (np.diff(rows) == 1).all():
            return self._loaded[first : first + count]
        # mode="clip" lets numpy write straight into the buffer; every row is in range.
        gathered: Array = self._loaded.take(rows, axis=0, out=buffer[:count], mode="clip")
        return gathered
