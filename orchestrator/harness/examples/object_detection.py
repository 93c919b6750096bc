"""Scenes with the boxes that were found and those that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pycocotools import mask

from ..metrics.answers import array
from ..tasks.object_detection import COLUMNS, ROW
from . import EACH, Box, Examples, Item, first_of_each
from .pictures import picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings

SURE = 0.5
"""The score from which on a box is shown."""
SAME = 0.5
"""The IoU from which on a box is that of an item, as mAP50 has it."""
RULE = (
    f"boxes with a score of {SURE} or more; the first {EACH} scenes in which they are all items, each once, with an "
    f"IoU of {SAME} or more, and the first {EACH} in which they are not"
)


def examples(settings: Settings, answers: Sequence[bytes]) -> Examples:
    expected = _expected(settings, len(answers))
    predicted = [_predicted(data) for data in answers]
    right = [_fits(found, truth) for found, truth in zip(predicted, expected, strict=True)]
    items = [
        Item(
            sample=sample,
            right=right[sample],
            picture=picture(settings, sample),
            boxes=(*expected[sample], *predicted[sample]),
        )
        for sample in first_of_each(right)
    ]
    return Examples(rule=RULE, items=tuple(items))


def _expected(settings: Settings, pictures: int) -> list[list[Box]]:
    boxes, classes, counts = (array(settings, name, pictures) for name in ("boxes", "classes", "counts"))
    return [
        [Box(of="expected", label=int(classes[at, k]), corners=_corners(boxes[at, k])) for k in range(int(counts[at]))]
        for at in range(pictures)
    ]


def _predicted(data: bytes) -> list[Box]:
    rows = np.frombuffer(data, ROW.base).reshape(-1, len(COLUMNS))
    sure = rows[rows[:, 5] >= SURE]
    return [
        Box(of="predicted", label=int(row[6]), corners=_corners(row[1:5]), score=round(float(row[5]), 4))
        for row in sure
    ]


def _corners(values: np.ndarray) -> tuple[float, float, float, float]:
    """Ends within the picture, and no more digits than a screen has pixels."""
    top, left, bottom, right = (round(min(1.0, max(0.0, float(value))), 5) for value in values)
    return top, left, bottom, right


def _fits(found: list[Box], truth: list[Box]) -> bool:
    """Whether each box that was found is of an item of its own, and no item is without."""
    if len(found) != len(truth):
        return False
    if not found:
        return True
    shares = mask.iou(_sides(found), _sides(truth), [0] * len(truth))
    same = [[one.label == other.label for other in truth] for one in found]
    fitting = np.where(same, shares, 0.0)
    for row in range(len(found)):  # answers come with the best score first
        best = int(fitting[row].argmax())
        if fitting[row, best] < SAME:
            return False
        fitting[:, best] = 0.0  # this item has its box
    return True


def _sides(boxes: list[Box]) -> np.ndarray:
    """[k, 4] of left, top, width, height, as pycocotools takes them."""
    top, left, bottom, right = np.array([box.corners for box in boxes]).T
    return np.stack([left, top, right - left, bottom - top], axis=1)
