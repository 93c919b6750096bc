"""How well probabilities part what users took to from what they did not: the ROC curve, and some of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import roc_curve

from ..joined import row_counts
from ..metrics.answers import array
from ..metrics.recommendation import probabilities
from . import EACH, Curve, Examples, Item, Labels, Text, first_of_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings

POINTS = 64
"""Of the curve, at equal steps of the false positive rate: nobody sees more."""
RULE = (
    f"predicted 1 from a probability of one half on; the first {EACH} pairs that were predicted rightly and the first "
    f"{EACH} that were not; the figure is the probability"
)


def examples(settings: Settings, answers: Sequence[bytes]) -> Examples:
    given = probabilities(settings, answers)
    labels = array(settings, "labels", len(given)).astype(np.int64)
    predicted = (given >= 0.5).astype(np.int64)
    items = []
    for row in first_of_each(predicted == labels):
        classes = Labels(predicted=int(predicted[row]), expected=int(labels[row]))
        right = classes.predicted == classes.expected
        sample, texts = _place(settings, row)
        score = round(float(given[row]), 4)
        items.append(Item(sample=sample, right=right, score=score, labels=classes, texts=texts))
    return Examples(rule=RULE, items=tuple(items), curve=_curve(labels, given))


def _place(settings: Settings, row: int) -> tuple[int, tuple[Text, ...]]:
    """The sample that a row is of, and which of its pairs it is where it has several."""
    if not settings.model.joined:
        return row, ()
    counts = row_counts(settings)
    ends = counts.cumsum()
    sample = int(np.searchsorted(ends, row, side="right"))
    first = int(ends[sample] - counts[sample])
    return sample, (Text(name="pair", text=f"{row - first + 1} of {counts[sample]}"),)


def _curve(labels: np.ndarray, given: np.ndarray) -> Curve | None:
    """None where there is one class only: no curve is defined."""
    if len(np.unique(labels)) != 2:
        return None
    false_positive, true_positive, _ = roc_curve(labels, given)
    steps = np.linspace(0, 1, POINTS)
    heights = np.interp(steps, false_positive, true_positive)
    points = zip(steps.round(4).tolist(), heights.round(4).tolist(), strict=True)
    return Curve(kind="roc", points=((0.0, 0.0), *points))
