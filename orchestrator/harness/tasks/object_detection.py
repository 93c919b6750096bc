"""Object detection: the boxes that a model finds in each picture, as MLPerf's reference for RetinaNet logs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..backends import Array
    from ..settings import Settings

COLUMNS = ("sample", "ymin", "xmin", "ymax", "xmax", "score", "class")
"""Of a row that is answered, each little-endian float32; the corners are shares of the picture's sides."""
ROW = np.dtype(("<f4", (len(COLUMNS),)))
MOST = 100
"""Boxes that are answered for a picture at most, the best ones: as many as COCO's mAP counts."""
EXACT = 2**24
"""Whole numbers up to here are exact in float32."""


class ObjectDetection(Task):
    """The first output has a row for each box of the batch: [k, 7], in any order, any number for a picture.

    Its columns are those of an answer, but the first says the picture's place in the batch. The answer to a picture
    is its rows, the best one first, and no bytes where nothing was found.
    """

    answer = None

    def __init__(self, settings: Settings) -> None:
        if settings.dataset.samples > EXACT:
            raise ValueError(f"dataset.samples: answers name samples as float32, which is exact up to {EXACT}")

    def answers(self, outputs: Sequence[Array], indexes: Sequence[int]) -> list[bytes]:
        """Raises `ValueError` for an output of another shape, or with rows that are of no picture or no numbers."""
        rows, places = self._rows(outputs[0], len(indexes))
        order = best_first(places, rows[:, 5])
        rows, places = rows[order], places[order]
        rows[:, 0] = np.asarray(indexes, np.float32)[places]
        starts = np.searchsorted(places, np.arange(len(indexes) + 1))
        ends = np.minimum(starts[1:], starts[:-1] + MOST)
        data = rows.tobytes()
        bounds = zip((starts[:-1] * ROW.itemsize).tolist(), (ends * ROW.itemsize).tolist(), strict=True)
        return [data[start:end] for start, end in bounds]

    @staticmethod
    def _rows(output: Array, pictures: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows [k, 7] of a batch, and the place in it that each of them is of."""
        if output.ndim != 2 or output.shape[1] != len(COLUMNS):
            raise ValueError(f"the model gives boxes of shape {list(output.shape)}; [k, {len(COLUMNS)}] was expected")
        rows = output.astype(ROW.base)
        if not np.isfinite(rows).all():
            row = rows[~np.isfinite(rows).all(axis=1)][0]
            raise ValueError(f"the model gives a box that is no finite numbers: {row[1:].tolist()}")
        places = rows[:, 0].astype(np.int64)
        if len(places) and not 0 <= places.min() <= places.max() < pictures:
            raise ValueError(f"the model gives boxes of picture {places.max()} or {places.min()} of {pictures}")
        return rows, places


def best_first(places: Array, scores: Array) -> Array:
    """The order of boxes by picture, the best of each first, equal ones as they came.

    As `numpy.lexsort` of both, in a fifth of its time for thousands of boxes: one whole number holds picture and score.
    A finite float32 is in order by its bits as int32, a negative one with all but its sign turned round.
    """
    bits = np.add(scores, np.float32(0)).view(np.int32).astype(np.int64)  # -0 is no less than 0
    return np.argsort(np.left_shift(places, 32) - np.where(bits < 0, bits ^ 0x7FFFFFFF, bits), kind="stable")


def create(settings: Settings) -> ObjectDetection:
    return ObjectDetection(settings)
