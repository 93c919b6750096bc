"""How well probabilities part what users took to from what they did not: the ROC curve, and some of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import roc_curve

from ..metrics.answers import array, vectors
from . import EACH, Curve, Examples, Item, Labels, first_of_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings

POINTS = 64
"""Of the curve, at equal steps of the false positive rate: nobody sees more."""
RULE = (
    f"predicted 1 from a probability of one half on; the first {EACH} rows that were predicted rightly and the first "
    f"{EACH} that were not; the figure is the probability"
)


def examples(settings: Settings, answers: Sequence[bytes]) -> Examples:
    labels = array(settings, "labels", len(answers)).astype(np.int64)
    given = vectors(answers, 1)[:, 0]
    predicted = (given >= 0.5).astype(np.int64)
    items = []
    for sample in first_of_each(predicted == labels):
        classes = Labels(predicted=int(predicted[sample]), expected=int(labels[sample]))
        right = classes.predicted == classes.expected
        items.append(Item(sample=sample, right=right, score=round(float(given[sample]), 4), labels=classes))
    return Examples(rule=RULE, items=tuple(items), curve=_curve(labels, given))


def _curve(labels: np.ndarray, given: np.ndarray) -> Curve | None:
    """None where there is one class only: no curve is defined."""
    if len(np.unique(labels)) != 2:
        return None
    false_positive, true_positive, _ = roc_curve(labels, given)
    steps = np.linspace(0, 1, POINTS)
    heights = np.interp(steps, false_positive, true_positive)
    points = zip(steps.round(4).tolist(), heights.round(4).tolist(), strict=True)
    return Curve(kind="roc", points=((0.0, 0.0), *points))
