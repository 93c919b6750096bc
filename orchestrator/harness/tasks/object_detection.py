"""Object detection: the boxes that a model finds in each picture, as MLPerf's reference for RetinaNet logs them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from . import Packed, Task

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

    def answers(self, outputs: Sequence[Array], indexes: Sequence[int]) -> Packed:
        """Raises `ValueError` for an output of another shape, or with rows that are of no picture or no numbers.

        In few calls: after a model has run each call of numpy finds the processor's caches cold, and costs some ten
        microseconds, however few boxes there are.
        """
        rows = _rows(outputs[0])
        counts = _counts(rows, len(indexes))
        rows = rows.take(np.lexsort((np.negative(rows[:, 5]), rows[:, 0])), axis=0)  # by picture, the best one first
        rows[:, 0] = np.asarray(indexes, np.float32).repeat(counts)
        spans, start = [], 0
        for count in counts.tolist():
            spans.append((start, ROW.itemsize * min(count, MOST)))
            start += ROW.itemsize * count
        return Packed(rows, spans)


def _rows(output: Array) -> Array:
    """The boxes of a batch, float32 [k, 7]. Raises `ValueError` for another shape, or where one is no finite number."""
    if output.ndim != 2 or output.shape[1] != len(COLUMNS):
        raise ValueError(f"the model gives boxes of shape {list(output.shape)}; [k, {len(COLUMNS)}] was expected")
    rows = np.asarray(output, ROW.base)
    if not math.isfinite(rows.sum(dtype=np.float64)):  # which no sum of finite float32 exceeds
        row = rows[~np.isfinite(rows).all(axis=1)][0]
        raise ValueError(f"the model gives a box that is no finite numbers: {row[1:].tolist()}")
    return rows


def _counts(rows: Array, pictures: int) -> np.ndarray:
    """How many boxes each picture of the batch has, int64 [pictures]. Raises `ValueError` for a box of none of them."""
    places = rows[:, 0].astype(np.int64)
    if len(places) and places.view(np.uint64).max() >= pictures:  # a negative one is a very large one then
        raise ValueError(f"the model gives boxes of picture {places.max()} or {places.min()} of {pictures}")
    return np.bincount(places, minlength=pictures)


def create(settings: Settings) -> ObjectDetection:
    return ObjectDetection(settings)
